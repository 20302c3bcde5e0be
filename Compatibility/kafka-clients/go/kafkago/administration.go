package main

import (
	"errors"
	"slices"

	kafka "github.com/segmentio/kafka-go"
)

func administration([]string) {
	name := topic("administration", 2, kafka.ConfigEntry{ConfigName: "retention.ms", ConfigValue: "3600000"})
	again := must(client.CreateTopics(background, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{{Topic: name, NumPartitions: 1, ReplicationFactor: 1}}}))
	refused(again.Errors[name], kafka.TopicAlreadyExists, "a topic twice")
	versions := must(client.ApiVersions(background, &kafka.ApiVersionsRequest{}))
	require(versions.Error == nil && len(versions.ApiKeys) > 40, "APIs: ", len(versions.ApiKeys))
	metadata := must(client.Metadata(background, &kafka.MetadataRequest{Topics: []string{name}}))
	require(len(metadata.Brokers) == 1 && metadata.ClusterID != "" && metadata.Controller.ID == metadata.Brokers[0].ID, metadata)
	require(len(metadata.Topics) == 1 && len(metadata.Topics[0].Partitions) == 2 && metadata.Topics[0].Error == nil, metadata.Topics)
	more := must(client.CreatePartitions(background, &kafka.CreatePartitionsRequest{Topics: []kafka.TopicPartitionsConfig{{Name: name, Count: 5}}}))
	check(more.Errors[name])
	eventually("five partitions", func() bool {
		return len(must(client.Metadata(background, &kafka.MetadataRequest{Topics: []string{name}})).Topics[0].Partitions) == 5
	})

	setting := func(wanted string) kafka.DescribeConfigResponseConfigEntry {
		described := must(client.DescribeConfigs(background, &kafka.DescribeConfigsRequest{
			Resources: []kafka.DescribeConfigRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: name, ConfigNames: []string{wanted}}}}))
		check(described.Resources[0].Error)
		require(len(described.Resources[0].ConfigEntries) == 1, described.Resources[0])
		return described.Resources[0].ConfigEntries[0]
	}
	found := setting("retention.ms")
	require(found.ConfigValue == "3600000" && found.ConfigSource == 1 && found.ConfigType == 5, found)
	altered := must(client.IncrementalAlterConfigs(background, &kafka.IncrementalAlterConfigsRequest{
		Resources: []kafka.IncrementalAlterConfigsRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: name, Configs: []kafka.IncrementalAlterConfigsRequestConfig{
			{Name: "retention.ms", Value: "7200000", ConfigOperation: kafka.ConfigOperationSet},
			{Name: "segment.bytes", Value: "1048576", ConfigOperation: kafka.ConfigOperationSet}}}}}))
	check(altered.Resources[0].Error)
	require(setting("retention.ms").ConfigValue == "7200000" && setting("segment.bytes").ConfigValue == "1048576", "changed")
	replaced := must(client.AlterConfigs(background, &kafka.AlterConfigsRequest{
		Resources: []kafka.AlterConfigRequestResource{{ResourceType: kafka.ResourceTypeTopic, ResourceName: name, Configs: []kafka.AlterConfigRequestConfig{
			{Name: "cleanup.policy", Value: "compact"}}}}}))
	for _, err := range replaced.Errors {
		check(err)
	}
	require(setting("cleanup.policy").ConfigValue == "compact" && setting("retention.ms").ConfigSource != 1, "replaced")

	elected := must(client.ElectLeaders(background, &kafka.ElectLeadersRequest{Topic: name, Partitions: []int{0}, Timeout: client.Timeout}))
	for _, one := range elected.PartitionResults {
		require(one.Error == nil || errors.Is(one.Error, kafka.ElectionNotNeeded), one.Error)
	}
	moving := must(client.ListPartitionReassignments(background, &kafka.ListPartitionReassignmentsRequest{Timeout: client.Timeout}))
	require(moving.Error == nil && len(moving.Topics) == 0, moving)
	quotas := must(client.DescribeClientQuotas(background, &kafka.DescribeClientQuotasRequest{
		Components: []kafka.DescribeClientQuotasRequestComponent{{EntityType: "user", MatchType: 2}}}))
	require(quotas.Error == nil && len(quotas.Entries) == 0, quotas)
	users := must(client.DescribeUserScramCredentials(background, &kafka.DescribeUserScramCredentialsRequest{Users: []kafka.UserScramCredentialsUser{{Name: "nobody"}}}))
	require(users.Error == nil && errors.Is(users.Results[0].Error, kafka.ResourceNotFound), users)

	group := unique("administration")
	committed := must(client.OffsetCommit(background, &kafka.OffsetCommitRequest{
		GroupID: group, GenerationID: -1, Topics: map[string][]kafka.OffsetCommit{name: {{Partition: 0, Offset: 7, Metadata: "m"}, {Partition: 1, Offset: 8}}}}))
	require(committed.Topics[name][0].Error == nil, committed)
	coordinator := must(client.FindCoordinator(background, &kafka.FindCoordinatorRequest{Key: group, KeyType: kafka.CoordinatorKeyTypeConsumer}))
	require(coordinator.Error == nil && coordinator.Coordinator.NodeID == metadata.Brokers[0].ID, coordinator)
	groups := must(client.ListGroups(background, &kafka.ListGroupsRequest{}))
	require(slices.ContainsFunc(groups.Groups, func(one kafka.ListGroupsResponseGroup) bool { return one.GroupID == group }), "listed")
	require(must(client.ConsumerOffsets(background, kafka.TopicAndGroup{Topic: name, GroupId: group}))[0] == 7, "offsets")
	deleted := must(client.OffsetDelete(background, &kafka.OffsetDeleteRequest{GroupID: group, Topics: map[string][]int{name: {0}}}))
	require(deleted.Error == nil && deleted.Topics[name][0].Error == nil, deleted)
	fetched := must(client.OffsetFetch(background, &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{name: {0, 1}}})).Topics[name]
	slices.SortFunc(fetched, func(one, other kafka.OffsetFetchPartition) int { return one.Partition - other.Partition })
	require(fetched[0].CommittedOffset == -1 && fetched[1].CommittedOffset == 8, fetched)
	check(must(client.DeleteGroups(background, &kafka.DeleteGroupsRequest{GroupIDs: []string{group}})).Errors[group])
	refused(must(client.DeleteGroups(background, &kafka.DeleteGroupsRequest{GroupIDs: []string{group}})).Errors[group], kafka.GroupIdNotFound, "a group twice")
	check(must(client.DeleteTopics(background, &kafka.DeleteTopicsRequest{Topics: []string{name}})).Errors[name])
	refused(must(client.DeleteTopics(background, &kafka.DeleteTopicsRequest{Topics: []string{name}})).Errors[name], kafka.UnknownTopicOrPartition, "a topic twice")
}

// Offsets of a group in transactions, request by request: kafka-go has no transactional writer.
func transactions([]string) {
	in, group, id := topic("tx", 1), unique("tx"), unique("tx")
	session := func(has kafka.ProducerSession) *kafka.ProducerSession {
		made := must(client.InitProducerID(background, &kafka.InitProducerIDRequest{
			TransactionalID: id, TransactionTimeoutMs: 10_000, ProducerID: has.ProducerID, ProducerEpoch: has.ProducerEpoch}))
		check(made.Error)
		return made.Producer
	}
	offset := func() int64 {
		return must(client.OffsetFetch(background, &kafka.OffsetFetchRequest{GroupID: group, Topics: map[string][]int{in: {0}}})).Topics[in][0].CommittedOffset
	}
	add := func(by *kafka.ProducerSession, offset int64) error {
		added := must(client.AddOffsetsToTxn(background, &kafka.AddOffsetsToTxnRequest{
			TransactionalID: id, ProducerID: by.ProducerID, ProducerEpoch: by.ProducerEpoch, GroupID: group}))
		if added.Error != nil {
			return added.Error
		}
		committed := must(client.TxnOffsetCommit(background, &kafka.TxnOffsetCommitRequest{
			TransactionalID: id, ProducerID: by.ProducerID, ProducerEpoch: by.ProducerEpoch, GroupID: group, GenerationID: -1,
			Topics: map[string][]kafka.TxnOffsetCommit{in: {{Partition: 0, Offset: offset}}}}))
		return committed.Topics[in][0].Error
	}
	end := func(by *kafka.ProducerSession, commits bool) error {
		return must(client.EndTxn(background, &kafka.EndTxnRequest{
			TransactionalID: id, ProducerID: by.ProducerID, ProducerEpoch: by.ProducerEpoch, Committed: commits})).Error
	}
	// What kafka-go says when its caller says nothing: producer 0.
	first := session(kafka.ProducerSession{})
	partitions := must(client.AddPartitionsToTxn(background, &kafka.AddPartitionsToTxnRequest{
		TransactionalID: id, ProducerID: first.ProducerID, ProducerEpoch: first.ProducerEpoch, Topics: map[string][]kafka.AddPartitionToTxn{in: {{Partition: 0}}}}))
	require(partitions.Topics[in][0].Error == nil, partitions)
	check(add(first, 5))
	require(offset() == -1, "before the end: ", offset())
	check(end(first, true))
	eventually("the committed offset", func() bool { return offset() == 5 })
	check(add(first, 9))
	check(end(first, false))
	require(offset() == 5, "after an abort: ", offset())
	check(add(first, 11))
	second := session(kafka.ProducerSession{ProducerID: -1, ProducerEpoch: -1})
	require(second.ProducerEpoch > first.ProducerEpoch, "epochs: ", first, second)
	require(end(first, true) != nil, "a zombie committed")
	check(add(second, 12))
	check(end(second, true))
	eventually("the successor's offset", func() bool { return offset() == 12 })
}
