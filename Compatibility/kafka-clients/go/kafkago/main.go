// kafka-go, Segment's client, against a running broker: kafkago BOOTSTRAP CASE [ARGUMENT…]. Ends with 0, or says what was wrong.
package main

import (
	"context"
	"fmt"
	"time"

	kafka "github.com/segmentio/kafka-go"
)

var cases = map[string]func(arguments []string){
	"codecs":         codecs,
	"offsets":        offsets,
	"groups":         groups,
	"crash":          crash,
	"member":         member,
	"transactions":   transactions,
	"administration": administration,
	"security":       security,
	"rules":          rules,
}

var client *kafka.Client
var background = context.Background()

func main() {
	drive(cases, func() {
		client = &kafka.Client{Addr: kafka.TCP(bootstrap), Timeout: 30 * time.Second, Transport: &kafka.Transport{MetadataTTL: 50 * time.Millisecond}}
	})
}

func topic(name string, partitions int, settings ...kafka.ConfigEntry) string {
	made := unique(name)
	response := must(client.CreateTopics(background, &kafka.CreateTopicsRequest{
		Topics: []kafka.TopicConfig{{Topic: made, NumPartitions: partitions, ReplicationFactor: 1, ConfigEntries: settings}}}))
	check(response.Errors[made])
	// What a client knows of topics is of a moment ago.
	eventually("the client knows the topic", func() bool {
		return must(client.Metadata(background, &kafka.MetadataRequest{Topics: []string{made}})).Topics[0].Error == nil
	})
	atEnd = append(atEnd, func() { must(client.DeleteTopics(background, &kafka.DeleteTopicsRequest{Topics: []string{made}})) })
	return made
}

func writer(topic string) *kafka.Writer {
	return &kafka.Writer{
		Addr: kafka.TCP(bootstrap), Topic: topic, Transport: client.Transport, RequiredAcks: kafka.RequireAll, BatchTimeout: 5 * time.Millisecond, Balancer: &kafka.RoundRobin{}}
}

func fill(topic string, from, to int) {
	out := writer(topic)
	var messages []kafka.Message
	for value := from; value < to; value++ {
		messages = append(messages, kafka.Message{Value: fmt.Append(nil, value)})
	}
	check(out.WriteMessages(background, messages...))
	check(out.Close())
}
