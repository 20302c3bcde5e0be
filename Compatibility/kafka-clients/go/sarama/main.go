// Sarama, the Go client, against a running broker: sarama BOOTSTRAP CASE [ARGUMENT…]. Ends with 0, or says what was wrong.
//
// Every case makes topics and groups with names of its own and removes the topics.
package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

var cases = map[string]func(arguments []string){
	"codecs":       codecs,
	"versions":     versions,
	"many":         many,
	"idempotence":  idempotence,
	"offsets":      offsets,
	"groups":       groups,
	"static":       staticMembers,
	"crash":        crash,
	"member":       member,
	"transactions": transactions,
	"zombie":       zombie,
	"pipeline":     pipeline,
	"topics":       topics,
	"groupadmin":   groupAdministration,
	"refusals":     refusals,
	"security":     security,
	"rules":        rules,
	"users":        users,
}

func main() { drive(cases, func() {}) }

// The client as new as it can be: the versions it sends follow from Config.Version.
func configuration() *sarama.Config {
	made := sarama.NewConfig()
	made.Version = sarama.MaxVersion
	made.ClientID = "sarama"
	made.Producer.Return.Successes = true
	made.Producer.RequiredAcks = sarama.WaitForAll
	made.Producer.Partitioner = sarama.NewManualPartitioner
	made.Consumer.Offsets.Initial = sarama.OffsetOldest
	made.Consumer.MaxWaitTime = 50 * time.Millisecond
	made.Consumer.Offsets.AutoCommit.Interval = 50 * time.Millisecond
	made.Metadata.Retry.Backoff = 50 * time.Millisecond
	return made
}

func administrator() sarama.ClusterAdmin {
	return must(sarama.NewClusterAdmin([]string{bootstrap}, configuration()))
}

func topic(name string, partitions int32, settings map[string]string) string {
	made := unique(name)
	entries := map[string]*string{}
	for key, value := range settings {
		entries[key] = &value
	}
	admin := administrator()
	defer admin.Close()
	check(admin.CreateTopic(made, &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: entries}, false))
	atEnd = append(atEnd, func() {
		admin := administrator()
		defer admin.Close()
		if err := admin.DeleteTopic(made); err != nil && !errors.Is(err, sarama.ErrUnknownTopicOrPartition) {
			panic(err)
		}
	})
	return made
}

func produce(config *sarama.Config, messages ...*sarama.ProducerMessage) {
	producer := must(sarama.NewSyncProducer([]string{bootstrap}, config))
	check(producer.SendMessages(messages))
	check(producer.Close())
}

func message(topic string, partition int32, key, value string) *sarama.ProducerMessage {
	return &sarama.ProducerMessage{
		Topic: topic, Partition: partition, Key: sarama.StringEncoder(key), Value: sarama.StringEncoder(value)}
}

// Reads count records of one partition from an offset on.
func consume(config *sarama.Config, topic string, partition int32, offset int64, count int) []*sarama.ConsumerMessage {
	consumer := must(sarama.NewConsumer([]string{bootstrap}, config))
	defer consumer.Close()
	reader := must(consumer.ConsumePartition(topic, partition, offset))
	defer reader.Close()
	var read []*sarama.ConsumerMessage
	limit := time.After(30 * time.Second)
	for len(read) < count {
		select {
		case one := <-reader.Messages():
			read = append(read, one)
		case <-limit:
			panic(fmt.Sprint("only ", len(read), " of ", count, " records came"))
		}
	}
	return read
}
