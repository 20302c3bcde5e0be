package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"time"

	"github.com/IBM/sarama"
)

// Every codec both ways: what was written is read, byte for byte, with headers, keys, times and tombstones.
func codecs([]string) {
	for _, codec := range []sarama.CompressionCodec{
		sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy, sarama.CompressionLZ4, sarama.CompressionZSTD} {
		name := topic("codec-"+codec.String(), 1, map[string]string{"retention.ms": "-1"})
		config := configuration()
		config.Producer.Compression = codec
		random := rand.New(rand.NewSource(int64(codec)))
		var sent []*sarama.ProducerMessage
		for i := range 2000 {
			value := make([]byte, random.Intn(400))
			random.Read(value[:len(value)/2])
			one := &sarama.ProducerMessage{
				Topic: name, Value: sarama.ByteEncoder(value), Timestamp: time.UnixMilli(1_600_000_000_000 + int64(i)*7),
				Headers: []sarama.RecordHeader{{Key: []byte("n"), Value: fmt.Append(nil, i)}, {Key: []byte("n"), Value: nil}}}
			if i%10 != 9 {
				one.Key = sarama.StringEncoder(fmt.Sprint("key-", i%100))
			}
			if i%25 == 24 {
				one.Value = nil
			}
			sent = append(sent, one)
		}
		produce(config, sent...)
		for i, got := range consume(config, name, 0, sarama.OffsetOldest, len(sent)) {
			want := sent[i]
			require(got.Offset == int64(i), codec, ": offset ", got.Offset, " at ", i)
			require(got.Timestamp.Equal(want.Timestamp), codec, ": time ", got.Timestamp, " for ", want.Timestamp)
			require((got.Key == nil) == (want.Key == nil), codec, ": key ", got.Key)
			if want.Key != nil {
				require(bytes.Equal(got.Key, must(want.Key.Encode())), codec, ": key ", got.Key)
			}
			require((got.Value == nil) == (want.Value == nil), codec, ": tombstone at ", i)
			if want.Value != nil {
				require(bytes.Equal(got.Value, must(want.Value.Encode())), codec, ": value at ", i)
			}
			require(len(got.Headers) == 2 && string(got.Headers[0].Value) == fmt.Sprint(i) && got.Headers[1].Value == nil,
				codec, ": headers ", got.Headers)
		}
	}
}

// A client of each year: one that speaks as to Kafka 0.10 can write, later ones write and read.
func versions([]string) {
	spoken := []sarama.KafkaVersion{
		sarama.V0_11_0_0, sarama.V1_0_0_0, sarama.V1_1_0_0, sarama.V2_0_0_0, sarama.V2_1_0_0, sarama.V2_3_0_0, sarama.V2_4_0_0,
		sarama.V2_5_0_0, sarama.V2_8_0_0, sarama.V3_0_0_0, sarama.V3_3_0_0, sarama.V3_6_0_0, sarama.V3_9_0_0, sarama.V4_0_0_0, sarama.MaxVersion}
	name := topic("versions", 1, nil)
	for i, version := range append([]sarama.KafkaVersion{sarama.V0_8_2_0, sarama.V0_9_0_0, sarama.V0_10_0_0, sarama.V0_10_2_0}, spoken...) {
		config := configuration()
		config.Version = version
		config.ApiVersionsRequest = i%2 == 0 // either what is spoken is asked for first, or not
		produce(config, message(name, 0, "k", version.String()), message(name, 0, "k", "again"))
	}
	for i, version := range spoken {
		config := configuration()
		config.Version = version
		config.ApiVersionsRequest = i%2 == 0
		read := consume(config, name, 0, sarama.OffsetOldest, 2*(len(spoken)+4))
		require(string(read[0].Value) == "0.8.2.0" && string(read[8].Value) == "0.11.0.0", version, " reads ", string(read[8].Value))
		client := must(sarama.NewClient([]string{bootstrap}, config))
		require(must(client.GetOffset(name, 0, sarama.OffsetNewest)) == int64(len(read)), version, ": end")
		group := unique("versions")
		manager := must(sarama.NewOffsetManagerFromClient(group, client))
		partition := must(manager.ManagePartition(name, 0))
		partition.MarkOffset(3, "as "+version.String())
		manager.Commit()
		check(partition.Close())
		check(manager.Close())
		manager = must(sarama.NewOffsetManagerFromClient(group, client))
		partition = must(manager.ManagePartition(name, 0))
		next, metadata := partition.NextOffset()
		require(next == 3 && metadata == "as "+version.String(), version, ": committed ", next, " ", metadata)
		check(partition.Close())
		check(manager.Close())
		check(client.Close())
	}
}

// Many records at once with the asynchronous producer, spread by key: all there, each key in its order.
func many([]string) {
	name := topic("many", 4, nil)
	config := configuration()
	config.Producer.Partitioner = sarama.NewHashPartitioner
	config.Producer.Compression = sarama.CompressionLZ4
	config.Producer.Flush.Messages = 500
	config.Producer.Flush.Frequency = 5 * time.Millisecond
	producer := must(sarama.NewAsyncProducer([]string{bootstrap}, config))
	const count = 50_000
	go func() {
		for i := range count {
			producer.Input() <- message(name, 0, fmt.Sprint(i%97), fmt.Sprint(i))
		}
		producer.AsyncClose()
	}()
	ends := map[int32]int64{}
	for producer.Successes() != nil {
		select {
		case one, open := <-producer.Successes():
			if !open {
				goto written
			}
			ends[one.Partition] = max(ends[one.Partition], one.Offset+1)
		case failed, open := <-producer.Errors():
			if open {
				panic(failed)
			}
		}
	}
written:
	last, total := map[string]int{}, 0
	for partition, end := range ends {
		for _, got := range consume(config, name, partition, sarama.OffsetOldest, int(end)) {
			var number int
			must(fmt.Sscan(string(got.Value), &number))
			before, known := last[string(got.Key)]
			require(!known || before < number, "key ", string(got.Key), ": ", number, " after ", before)
			last[string(got.Key)] = number
			total++
		}
	}
	require(total == count, total, " of ", count)
}

func idempotence([]string) {
	name := topic("idempotence", 2, nil)
	config := configuration()
	config.Producer.Idempotent = true
	config.Net.MaxOpenRequests = 1
	producer := must(sarama.NewSyncProducer([]string{bootstrap}, config))
	for batch := range 20 {
		var messages []*sarama.ProducerMessage
		for i := range 50 {
			messages = append(messages, message(name, int32(i%2), "", fmt.Sprint(batch*50+i)))
		}
		check(producer.SendMessages(messages))
	}
	check(producer.Close())
	for partition := range int32(2) {
		for i, got := range consume(config, name, partition, sarama.OffsetOldest, 500) {
			require(string(got.Value) == fmt.Sprint(2*i+int(partition)), "at ", i, ": ", string(got.Value))
		}
	}
}

// Offsets by place and time, a place that is not there, and reading on from the end.
func offsets([]string) {
	name := topic("offsets", 1, map[string]string{"retention.ms": "-1"})
	config := configuration()
	for i := range 100 {
		one := message(name, 0, "", fmt.Sprint(i))
		one.Timestamp = time.UnixMilli(1_000_000 + int64(i)*1000)
		produce(config, one)
	}
	client := must(sarama.NewClient([]string{bootstrap}, config))
	defer client.Close()
	for time, offset := range map[int64]int64{sarama.OffsetOldest: 0, sarama.OffsetNewest: 100, 1_050_000: 50, 1_049_001: 50, 2_000_000: 100} {
		got, err := client.GetOffset(name, 0, time)
		require(err == nil && (got == offset || time == 2_000_000 && got == -1), "offset for ", time, ": ", got, " ", err)
	}
	read := consume(config, name, 0, 50, 3)
	require(string(read[0].Value) == "50" && string(read[2].Value) == "52", string(read[0].Value))
	consumer := must(sarama.NewConsumerFromClient(client))
	defer consumer.Close()
	_, err := consumer.ConsumePartition(name, 0, 1000)
	refused(err, sarama.ErrOffsetOutOfRange, "reading from beyond the end")
	_, err = consumer.ConsumePartition(name, 7, 0)
	require(err != nil, "a partition that is not there")
	reader := must(consumer.ConsumePartition(name, 0, sarama.OffsetNewest))
	produce(config, message(name, 0, "", "new"))
	require(string((<-reader.Messages()).Value) == "new" && reader.HighWaterMarkOffset() == 101, "the end")
	check(reader.Close())

	// Records before an offset deleted: the log begins there, and reading before it is refused.
	admin := administrator()
	defer admin.Close()
	check(admin.DeleteRecords(name, map[int32]int64{0: 40}))
	require(must(client.GetOffset(name, 0, sarama.OffsetOldest)) == 40, "the beginning")
	_, err = consumer.ConsumePartition(name, 0, 10)
	require(errors.Is(err, sarama.ErrOffsetOutOfRange), "before the beginning: ", err)
	require(string(consume(config, name, 0, sarama.OffsetOldest, 1)[0].Value) == "40", "first")
}
