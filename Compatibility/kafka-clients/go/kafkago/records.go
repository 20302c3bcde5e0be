package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"time"

	kafka "github.com/segmentio/kafka-go"
)

// Every codec both ways, with headers, keys, times and tombstones; every other with the reader's own connection.
func codecs([]string) {
	for _, codec := range []kafka.Compression{0, kafka.Gzip, kafka.Snappy, kafka.Lz4, kafka.Zstd} {
		name := topic(fmt.Sprint("codec-", codec), 1, kafka.ConfigEntry{ConfigName: "retention.ms", ConfigValue: "-1"})
		random := rand.New(rand.NewSource(int64(codec)))
		var sent []kafka.Message
		for i := range 2000 {
			value := make([]byte, random.Intn(400))
			random.Read(value[:len(value)/2])
			one := kafka.Message{
				Key: fmt.Append(nil, "key-", i%100), Value: value, Time: time.UnixMilli(1_600_000_000_000 + int64(i)*7),
				Headers: []kafka.Header{{Key: "n", Value: fmt.Append(nil, i)}, {Key: "empty", Value: []byte{}}}}
			if i%10 == 9 {
				one.Key = nil
			}
			if i%25 == 24 {
				one.Value = nil
			}
			sent = append(sent, one)
		}
		out := writer(name)
		out.Compression = codec
		check(out.WriteMessages(background, sent...))
		check(out.Close())
		in := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{bootstrap}, Topic: name, MaxWait: 50 * time.Millisecond})
		for i, want := range sent {
			got := must(in.ReadMessage(background))
			require(got.Offset == int64(i) && got.Time.Equal(want.Time), codec, ": offset ", got.Offset, ", time ", got.Time)
			// Its reader gives empty bytes as nil too.
			require(bytes.Equal(got.Key, want.Key) && bytes.Equal(got.Value, want.Value), codec, ": key ", got.Key, " or value at ", i)
			require(len(got.Headers) == 2 && string(got.Headers[0].Value) == fmt.Sprint(i), codec, ": headers ", got.Headers)
		}
		check(in.Close())
		// The requests themselves, one each way.
		response := must(client.Produce(background, &kafka.ProduceRequest{
			Topic: name, RequiredAcks: kafka.RequireAll, Compression: codec,
			Records: kafka.NewRecordReader(kafka.Record{Time: time.UnixMilli(1_700_000_000_000), Value: kafka.NewBytes([]byte("last"))})}))
		require(response.Error == nil && response.BaseOffset == 2000, codec, ": ", response)
		fetched := must(client.Fetch(background, &kafka.FetchRequest{Topic: name, Offset: 2000, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: time.Second}))
		require(fetched.Error == nil && fetched.HighWatermark == 2001 && fetched.LogStartOffset == 0, codec, ": ", fetched)
		record := must(fetched.Records.ReadRecord())
		require(string(must(kafka.ReadAll(record.Value))) == "last" && record.Offset == 2000, codec, ": ", record)
		_, err := fetched.Records.ReadRecord()
		require(errors.Is(err, io.EOF), codec, ": more than was written: ", err)
	}
}

func offsets([]string) {
	name := topic("offsets", 1, kafka.ConfigEntry{ConfigName: "retention.ms", ConfigValue: "-1"})
	out := writer(name)
	var messages []kafka.Message
	for i := range 100 {
		messages = append(messages, kafka.Message{Value: fmt.Append(nil, i), Time: time.UnixMilli(1_000_000 + int64(i)*1000)})
	}
	check(out.WriteMessages(background, messages...))
	check(out.Close())
	listed := must(client.ListOffsets(background, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{name: {kafka.FirstOffsetOf(0), kafka.LastOffsetOf(0), kafka.TimeOffsetOf(0, time.UnixMilli(1_049_001))}}}))
	one := listed.Topics[name][0]
	require(one.FirstOffset == 0 && one.LastOffset == 100 && one.Error == nil, one)
	_, found := one.Offsets[50]
	require(found, "the offset for a time: ", one.Offsets)
	in := kafka.NewReader(kafka.ReaderConfig{Brokers: []string{bootstrap}, Topic: name, MaxWait: 50 * time.Millisecond})
	check(in.SetOffsetAt(background, time.UnixMilli(1_070_000)))
	require(string(must(in.ReadMessage(background)).Value) == "70", "from a time on")
	check(in.SetOffset(99))
	require(string(must(in.ReadMessage(background)).Value) == "99", "the last one")
	require(must(in.ReadLag(background)) == 0, "how far behind")
	check(in.Close())
	fetched := must(client.Fetch(background, &kafka.FetchRequest{Topic: name, Offset: 500, MinBytes: 1, MaxBytes: 1 << 20, MaxWait: time.Second}))
	refused(fetched.Error, kafka.OffsetOutOfRange, "beyond the end")
}
