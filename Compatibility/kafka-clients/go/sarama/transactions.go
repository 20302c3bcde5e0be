package main

import (
	"fmt"

	"github.com/IBM/sarama"
)

func transactional(id string) *sarama.Config {
	config := configuration()
	config.Producer.Idempotent = true
	config.Producer.Transaction.ID = id
	config.Net.MaxOpenRequests = 1
	return config
}

func committedReader() *sarama.Config {
	config := configuration()
	config.Consumer.IsolationLevel = sarama.ReadCommitted
	return config
}

func committedOffset(group, topic string) int64 {
	admin := administrator()
	defer admin.Close()
	response := must(admin.ListConsumerGroupOffsets(group, map[string][]int32{topic: {0}}))
	return response.GetBlock(topic, 0).Offset
}

// Committed and aborted transactions in turn, over two partitions, with offsets of a group.
func transactions([]string) {
	in, out, group := topic("tx-in", 1, nil), topic("tx-out", 2, nil), unique("tx")
	producer := must(sarama.NewSyncProducer([]string{bootstrap}, transactional(unique("tx"))))
	for batch := range 6 {
		kept := batch%2 == 0
		word := map[bool]string{true: "kept", false: "gone"}[kept]
		check(producer.BeginTxn())
		for i := range 10 {
			must2(producer.SendMessage(message(out, int32(i%2), "", fmt.Sprint(word, "-", batch, "-", i))))
		}
		check(producer.AddOffsetsToTxn(map[string][]*sarama.PartitionOffsetMetadata{in: {{Partition: 0, Offset: int64(10 * (batch + 1))}}}, group))
		if kept {
			check(producer.CommitTxn())
			require(committedOffset(group, in) == int64(10*(batch+1)), "offset after a commit: ", committedOffset(group, in))
		} else {
			check(producer.AbortTxn())
			require(committedOffset(group, in) == int64(10*batch), "offset after an abort: ", committedOffset(group, in))
		}
	}
	check(producer.Close())
	for partition := range int32(2) {
		for i, got := range consume(committedReader(), out, partition, sarama.OffsetOldest, 15) {
			expected := fmt.Sprint("kept-", i/5*2, "-", i%5*2+int(partition))
			require(string(got.Value) == expected, string(got.Value), " instead of ", expected)
		}
		require(len(consume(configuration(), out, partition, sarama.OffsetOldest, 30)) == 30, "all of them")
	}
}

func must2[A, B any](_ A, _ B, err error) { check(err) }

// Whoever comes with the same transactional id ends the transaction of who had it before, and that one can do no more.
func zombie([]string) {
	out, id := topic("zombie", 1, nil), unique("zombie")
	old := must(sarama.NewSyncProducer([]string{bootstrap}, transactional(id)))
	check(old.BeginTxn())
	must2(old.SendMessage(message(out, 0, "", "zombie")))
	next := must(sarama.NewSyncProducer([]string{bootstrap}, transactional(id)))
	check(next.BeginTxn())
	must2(next.SendMessage(message(out, 0, "", "next")))
	require(old.CommitTxn() != nil, "a zombie committed")
	_, _, err := old.SendMessage(message(out, 0, "", "again"))
	require(err != nil, "a zombie wrote")
	old.Close()
	check(next.CommitTxn())
	check(next.Close())
	read := consume(committedReader(), out, 0, sarama.OffsetOldest, 1)
	require(string(read[0].Value) == "next", string(read[0].Value))
	client := must(sarama.NewClient([]string{bootstrap}, configuration()))
	defer client.Close()
	end := must(client.GetOffset(out, 0, sarama.OffsetNewest))
	require(end == 4, "two records and two markers: ", end)
}

// Exactly once from topic to topic: read in a group, written in transactions that carry the group's offsets; each third is aborted and done again.
func pipeline([]string) {
	in, out, group := topic("pipe-in", 1, nil), topic("pipe-out", 1, nil), unique("pipe")
	var messages []*sarama.ProducerMessage
	for i := range 150 {
		messages = append(messages, message(in, 0, "", fmt.Sprint(i)))
	}
	produce(configuration(), messages...)
	producer := must(sarama.NewSyncProducer([]string{bootstrap}, transactional(unique("pipe"))))
	for attempt := 0; ; attempt++ {
		from := max(committedOffset(group, in), 0)
		if from == 150 {
			break
		}
		read := consume(committedReader(), in, 0, from, 30)[:30]
		check(producer.BeginTxn())
		for _, one := range read {
			must2(producer.SendMessage(message(out, 0, "", string(one.Value))))
			check(producer.AddMessageToTxn(one, group, nil))
		}
		if attempt%3 == 2 {
			check(producer.AbortTxn())
		} else {
			check(producer.CommitTxn())
		}
	}
	check(producer.Close())
	for i, got := range consume(committedReader(), out, 0, sarama.OffsetOldest, 150) {
		require(string(got.Value) == fmt.Sprint(i), "at ", i, ": ", string(got.Value))
	}
}
