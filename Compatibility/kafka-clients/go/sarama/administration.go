package main

import (
	"fmt"
	"slices"

	"github.com/IBM/sarama"
)

func topics([]string) {
	admin := administrator()
	defer admin.Close()
	name := topic("topics", 2, map[string]string{"retention.ms": "3600000", "cleanup.policy": "compact,delete"})

	brokers, controller, err := admin.DescribeCluster()
	require(err == nil && len(brokers) == 1 && brokers[0].ID() == controller, "cluster: ", err)
	require(must(admin.Controller()).ID() == controller, "controller")
	listed := must(admin.ListTopics())[name]
	require(listed.NumPartitions == 2 && listed.ReplicationFactor == 1 && *listed.ConfigEntries["retention.ms"] == "3600000", listed)
	described := must(admin.DescribeTopics([]string{name}))[0]
	require(described.Err == sarama.ErrNoError && len(described.Partitions) == 2 && described.Uuid != [16]byte{}, described)
	check(admin.CreatePartitions(name, 5, nil, true))
	require(len(must(admin.DescribeTopics([]string{name}))[0].Partitions) == 2, "validation only")
	check(admin.CreatePartitions(name, 5, nil, false))
	require(len(must(admin.DescribeTopics([]string{name}))[0].Partitions) == 5, "more partitions")

	setting := func(wanted string) sarama.ConfigEntry {
		for _, entry := range must(admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: name, ConfigNames: []string{wanted}})) {
			if entry.Name == wanted {
				return entry
			}
		}
		panic("there is no setting " + wanted)
	}
	require(setting("cleanup.policy").Value == "compact,delete" && setting("cleanup.policy").Source == sarama.SourceTopic, setting("cleanup.policy"))
	require(setting("segment.bytes").Source == sarama.SourceDefault, setting("segment.bytes"))
	value := "7200000"
	check(admin.AlterConfig(sarama.TopicResource, name, map[string]*string{"retention.ms": &value}, false))
	require(setting("retention.ms").Value == value && setting("cleanup.policy").Value == "delete", "replaced as a whole")
	policy := "compact"
	check(admin.IncrementalAlterConfig(sarama.TopicResource, name, map[string]sarama.IncrementalAlterConfigsEntry{
		"cleanup.policy": {Operation: sarama.IncrementalAlterConfigsOperationAppend, Value: &policy},
		"retention.ms":   {Operation: sarama.IncrementalAlterConfigsOperationDelete}}, false))
	require(setting("retention.ms").Source != sarama.SourceTopic, setting("retention.ms"))
	require(setting("cleanup.policy").Value == "delete,compact", setting("cleanup.policy"))
	require(len(must(admin.DescribeConfig(sarama.ConfigResource{Type: sarama.BrokerResource, Name: fmt.Sprint(controller)}))) > 10, "the broker's")

	produce(configuration(), message(name, 0, "a", "b"), message(name, 4, "a", "b"))
	directories := must(admin.DescribeLogDirs([]int32{controller}))[controller]
	size := int64(0)
	for _, directory := range directories {
		for _, one := range directory.Topics {
			if one.Topic == name {
				for _, partition := range one.Partitions {
					size += partition.Size
				}
			}
		}
	}
	require(size > 100, "bytes on disk: ", size)
	offsets := must(admin.ListOffsets(map[string]map[int32]int64{name: {0: sarama.OffsetNewest, 1: sarama.OffsetOldest, 4: 5}}, nil))[name]
	require(offsets[0].Offset == 1 && offsets[1].Offset == 0 && offsets[4].Offset == 0, offsets)
	require(len(must(admin.ListPartitionReassignments(name, []int32{0}))) == 0, "nothing moves")
	elected := must(admin.ElectLeaders(sarama.PreferredElection, map[string][]int32{name: {0}}))[name][0]
	require(elected.ErrorCode == sarama.ErrNoError || elected.ErrorCode == sarama.ErrElectionNotNeeded, elected.ErrorCode)
	require(len(must(admin.DescribeClientQuotas([]sarama.QuotaFilterComponent{{EntityType: sarama.QuotaEntityClientID, MatchType: sarama.QuotaMatchAny}}, false))) == 0, "quotas")
	check(admin.DeleteTopic(name))
	eventually("the topic is gone", func() bool { return must(admin.ListTopics())[name].NumPartitions == 0 })
}

// What cannot be is refused with the code that Kafka has for it.
func refusals([]string) {
	admin := administrator()
	defer admin.Close()
	name := topic("refusals", 1, nil)
	one := func(partitions int32, replicas int16, settings map[string]string) *sarama.TopicDetail {
		entries := map[string]*string{}
		for key, value := range settings {
			entries[key] = &value
		}
		return &sarama.TopicDetail{NumPartitions: partitions, ReplicationFactor: replicas, ConfigEntries: entries}
	}
	refused(admin.CreateTopic(name, one(1, 1, nil), false), sarama.ErrTopicAlreadyExists, "a topic twice")
	refused(admin.CreateTopic(unique("x"), one(0, 1, nil), false), sarama.ErrInvalidPartitions, "no partitions")
	refused(admin.CreateTopic(unique("x"), one(1, 3, nil), false), sarama.ErrInvalidReplicationFactor, "three replicas")
	refused(admin.CreateTopic("a/b", one(1, 1, nil), false), sarama.ErrInvalidTopic, "a name with a stroke")
	refused(admin.CreateTopic(unique("x"), one(1, 1, map[string]string{"no.such.setting": "1"}), false), sarama.ErrInvalidConfig, "a setting that is not")
	refused(admin.CreateTopic(unique("x"), one(1, 1, map[string]string{"retention.ms": "long"}), false), sarama.ErrInvalidConfig, "no number")
	refused(admin.DeleteTopic(unique("none")), sarama.ErrUnknownTopicOrPartition, "no topic")
	refused(admin.CreatePartitions(name, 1, nil, false), sarama.ErrInvalidPartitions, "no more partitions")
	refused(admin.CreatePartitions(unique("none"), 2, nil, false), sarama.ErrUnknownTopicOrPartition, "no topic")
	require(must(admin.DescribeTopics([]string{unique("none")}))[0].Err == sarama.ErrUnknownTopicOrPartition, "no topic")
	refused(admin.DeleteConsumerGroup(unique("none")), sarama.ErrGroupIDNotFound, "no group")
	require(admin.DeleteRecords(name, map[int32]int64{0: 5}) != nil, "records that are not there")
	value := "x"
	require(admin.AlterConfig(sarama.TopicResource, name, map[string]*string{"cleanup.policy": &value}, false) != nil, "no policy")
	config := configuration()
	config.Producer.Retry.Max = 0
	producer := must(sarama.NewSyncProducer([]string{bootstrap}, config))
	defer producer.Close()
	config.Producer.MaxMessageBytes = 4_000_000
	_, _, err := producer.SendMessage(message(name, 0, "", string(make([]byte, 2_000_000))))
	refused(err, sarama.ErrMessageSizeTooLarge, "two megabytes")
	_, _, err = producer.SendMessage(message(name, 9, "", ""))
	require(err != nil, "a partition that is not there")
}

func groupAdministration([]string) {
	admin := administrator()
	defer admin.Close()
	name, group := topic("groupadmin", 4, nil), unique("groupadmin")
	fill(name, 0, 40)
	member := join(groupConfiguration(), group, name)
	read(0, 40, member)
	require(must(admin.ListConsumerGroups())[group] == "consumer", "listed")
	described := must(admin.DescribeConsumerGroups([]string{group}))[0]
	require(described.State == "Stable" && described.Protocol == "range" && len(described.Members) == 1, described)
	for _, one := range described.Members {
		assigned := must(one.GetMemberAssignment())
		require(one.ClientId == "sarama" && one.ClientHost != "" && len(assigned.Topics[name]) == 4, one)
		require(slices.Equal(must(one.GetMemberMetadata()).Topics, []string{name}), "what it reads")
	}
	eventually("what was read is committed", func() bool { return committedOffset(group, name) == 10 })
	refused(admin.DeleteConsumerGroup(group), sarama.ErrNonEmptyGroup, "a group with a member")
	require(admin.DeleteConsumerGroupOffset(group, name, 0) != nil, "offsets of who reads")
	refusal := must(admin.AlterConsumerGroupOffsets(group, map[string]map[int32]sarama.OffsetAndMetadata{name: {0: {Offset: 3, LeaderEpoch: -1}}}, nil))
	require(refusal.Errors[name][0] == sarama.ErrUnknownMemberId, "offsets of a group with members: ", refusal.Errors)
	member.leave()
	eventually("the group is empty", func() bool { return must(admin.DescribeConsumerGroups([]string{group}))[0].State == "Empty" })
	must(admin.AlterConsumerGroupOffsets(group, map[string]map[int32]sarama.OffsetAndMetadata{name: {0: {Offset: 3, Metadata: "m", LeaderEpoch: -1}}}, nil))
	both := must(admin.ListConsumerGroupOffsetsBatch(map[string]map[string][]int32{group: nil, unique("none"): {name: {0}}}))
	require(len(both) == 2 && both[group].Blocks[name][0].Offset == 3 && both[group].Blocks[name][0].Metadata == "m", both[group])
	check(admin.DeleteConsumerGroupOffset(group, name, 0))
	require(committedOffset(group, name) == -1, "deleted: ", committedOffset(group, name))
	check(admin.DeleteConsumerGroup(group))
	_, found := must(admin.ListConsumerGroups())[group]
	require(!found, "deleted")
	require(must(admin.DescribeConsumerGroups([]string{group}))[0].State == "Dead", "deleted")
}
