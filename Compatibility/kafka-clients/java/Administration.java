import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.acl.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.quota.*;
import org.apache.kafka.common.resource.*;
import org.apache.kafka.common.serialization.*;

/** Every call of the Java client's Admin (4.x) against a broker: Administration BOOTSTRAP. Ends with 0 when each did what it should. */
public class Administration extends Calls {
    public static void main(String[] arguments) throws Exception {
        String run = Long.toHexString(System.nanoTime());
        String topic = "compat-java-all-" + run, other = topic + "-other", group = "compat-java-all-" + run, id = "compat-java-all-" + run;
        TopicPartition zero = new TopicPartition(topic, 0), one = new TopicPartition(topic, 1);
        Map<String, Object> settings = new HashMap<>(Map.of("bootstrap.servers", arguments[0], "default.api.timeout.ms", 30000, "request.timeout.ms", 20000));
        ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
        try (Admin admin = Admin.create(settings)) {
            check("createTopics", () -> {
                CreateTopicsResult made = admin.createTopics(List.of(new NewTopic(topic, Optional.of(2), Optional.empty()).configs(Map.of("retention.ms", "-1"))));
                get(made.all());
                require(get(made.numPartitions(topic)) == 2 && get(made.config(topic)).get("retention.ms").value().equals("-1"), "what was made");
                get(admin.createTopics(List.of(new NewTopic(other, 1, (short) 1)), new CreateTopicsOptions().validateOnly(true)).all());
                require(!get(admin.listTopics().names()).contains(other), "validated only");
                return null;
            });
            refused("createTopics again", TopicExistsException.class, () -> get(admin.createTopics(List.of(new NewTopic(topic, 1, (short) 1))).all()));
            refused("createTopics badly", InvalidReplicationFactorException.class, () -> get(admin.createTopics(List.of(new NewTopic(other, 1, (short) 3))).all()));
            check("createPartitions", () -> get(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(3))).all()));
            refused("createPartitions fewer", InvalidPartitionsException.class, () -> get(admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(1))).all()));
            try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer())) {
                for (int i = 0; i < 30; i++) producer.send(new ProducerRecord<>(topic, i % 3, 1000L + i, null, "v" + i)).get();
            }
            check("listTopics", () -> { require(get(admin.listTopics().names()).contains(topic), "not listed"); return null; });
            check("describeTopics", () -> {
                TopicDescription described = get(admin.describeTopics(List.of(topic), new DescribeTopicsOptions().includeAuthorizedOperations(true)).allTopicNames()).get(topic);
                require(described.partitions().size() == 3 && described.partitions().get(0).leader().id() == 1 && !described.authorizedOperations().isEmpty(), described);
                return null;
            });
            check("describeConfigs", () -> {
                ConfigResource broker = new ConfigResource(ConfigResource.Type.BROKER, "1");
                Map<ConfigResource, Config> all = get(admin.describeConfigs(List.of(resource, broker)).all());
                require(all.get(resource).get("retention.ms").value().equals("-1") && all.get(broker).get("node.id") != null, all);
                return null;
            });
            check("incrementalAlterConfigs", () -> {
                get(admin.incrementalAlterConfigs(Map.of(resource, List.of(
                    new AlterConfigOp(new ConfigEntry("cleanup.policy", "compact"), AlterConfigOp.OpType.APPEND),
                    new AlterConfigOp(new ConfigEntry("retention.ms", ""), AlterConfigOp.OpType.DELETE)))).all());
                Config now = get(admin.describeConfigs(List.of(resource)).all()).get(resource);
                require(now.get("cleanup.policy").value().contains("compact") && now.get("retention.ms").isDefault(), now);
                get(admin.incrementalAlterConfigs(Map.of(resource, List.of(
                    new AlterConfigOp(new ConfigEntry("cleanup.policy", "compact"), AlterConfigOp.OpType.SUBTRACT),
                    new AlterConfigOp(new ConfigEntry("retention.ms", "-1"), AlterConfigOp.OpType.SET)))).all());
                return null;
            });
            refused("incrementalAlterConfigs of nonsense", InvalidConfigurationException.class, () -> get(admin.incrementalAlterConfigs(Map.of(resource, List.of(
                new AlterConfigOp(new ConfigEntry("no.such.setting", "1"), AlterConfigOp.OpType.SET)))).all()));
            check("listOffsets", () -> {
                require(get(admin.listOffsets(Map.of(zero, OffsetSpec.latest())).partitionResult(zero)).offset() == 10, "latest");
                require(get(admin.listOffsets(Map.of(zero, OffsetSpec.earliest())).partitionResult(zero)).offset() == 0, "earliest");
                require(get(admin.listOffsets(Map.of(zero, OffsetSpec.forTimestamp(1004))).partitionResult(zero)).offset() == 2, "for a timestamp");
                require(get(admin.listOffsets(Map.of(zero, OffsetSpec.maxTimestamp())).partitionResult(zero)).offset() == 9, "largest timestamp");
                require(get(admin.listOffsets(Map.of(zero, OffsetSpec.earliestLocal())).partitionResult(zero)).offset() == 0, "earliest local");
                require(get(admin.listOffsets(Map.of(zero, OffsetSpec.latestTiered())).partitionResult(zero)).offset() == -1, "latest tiered");
                require(get(admin.listOffsets(Map.of(zero, OffsetSpec.earliestPendingUpload())).partitionResult(zero)).offset() == -1, "earliest pending upload");
                return null;
            });
            check("deleteRecords", () -> {
                require(get(admin.deleteRecords(Map.of(zero, RecordsToDelete.beforeOffset(3))).lowWatermarks().get(zero)).lowWatermark() == 3, "low watermark");
                return null;
            });
            refused("deleteRecords too far", org.apache.kafka.common.errors.OffsetOutOfRangeException.class, () -> get(admin.deleteRecords(Map.of(zero, RecordsToDelete.beforeOffset(99))).all()));
            check("describeLogDirs", () -> {
                require(get(admin.describeLogDirs(List.of(1)).allDescriptions()).get(1).values().iterator().next().replicaInfos().containsKey(zero), "not there");
                require(get(admin.describeReplicaLogDirs(List.of(new TopicPartitionReplica(topic, 0, 1))).all()).size() == 1, "replica");
                return null;
            });
            check("describeCluster", () -> {
                DescribeClusterResult cluster = admin.describeCluster(new DescribeClusterOptions().includeAuthorizedOperations(true));
                require(get(cluster.nodes()).size() == 1 && get(cluster.controller()).id() == 1 && !get(cluster.authorizedOperations()).isEmpty(), "cluster");
                return null;
            });
            check("describeFeatures", () -> { require(!get(admin.describeFeatures().featureMetadata()).finalizedFeatures().isEmpty(), "none"); return null; });

            // groups
            check("alterConsumerGroupOffsets", () -> get(admin.alterConsumerGroupOffsets(group, Map.of(zero, new OffsetAndMetadata(4), one, new OffsetAndMetadata(5))).all()));
            check("listConsumerGroupOffsets", () -> {
                Map<TopicPartition, OffsetAndMetadata> offsets = get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata());
                require(offsets.get(zero).offset() == 4 && offsets.size() == 2, offsets);
                return null;
            });
            check("deleteConsumerGroupOffsets", () -> {
                get(admin.deleteConsumerGroupOffsets(group, Set.of(one)).all());
                require(get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()).size() == 1, "still there");
                return null;
            });
            try (KafkaConsumer<String, String> consumer = consumer(settings, group, "classic"); KafkaConsumer<String, String> modern = consumer(settings, group + "-new", "consumer")) {
                for (KafkaConsumer<String, String> reader : List.of(consumer, modern)) {
                    reader.subscribe(List.of(topic));
                    for (int i = 0; i < 200 && reader.assignment().size() < 3; i++) reader.poll(java.time.Duration.ofMillis(100));
                    require(reader.assignment().size() == 3, "not assigned");
                }
                check("listGroups", () -> {
                    Map<String, Optional<GroupType>> types = new HashMap<>();
                    for (GroupListing listing : get(admin.listGroups().all())) types.put(listing.groupId(), listing.type());
                    require(types.get(group).get() == GroupType.CLASSIC && types.get(group + "-new").get() == GroupType.CONSUMER, types);
                    return null;
                });
                check("listConsumerGroups", () -> {
                    require(get(admin.listConsumerGroups().all()).stream().anyMatch(g -> g.groupId().equals(group)), "not listed");
                    return null;
                });
                check("describeConsumerGroups", () -> {
                    Map<String, ConsumerGroupDescription> all = get(admin.describeConsumerGroups(List.of(group, group + "-new")).all());
                    require(all.get(group).groupState() == GroupState.STABLE && all.get(group).type() == GroupType.CLASSIC, all);
                    require(all.get(group + "-new").members().size() == 1 && all.get(group + "-new").type() == GroupType.CONSUMER, all);
                    return null;
                });
                check("describeClassicGroups", () -> {
                    require(get(admin.describeClassicGroups(List.of(group)).all()).get(group).members().size() == 1, "members");
                    return null;
                });
                refused("deleteConsumerGroups with members", GroupNotEmptyException.class, () -> get(admin.deleteConsumerGroups(List.of(group)).all()));
                check("removeMembersFromConsumerGroup", () -> get(admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions()).all()));
            }
            check("deleteConsumerGroups", () -> get(admin.deleteConsumerGroups(List.of(group)).all()));
            refused("describeConsumerGroups of none", GroupIdNotFoundException.class, () -> get(admin.describeConsumerGroups(List.of(group)).all()));

            // transactions
            settings.put("transactional.id", id);
            KafkaProducer<String, String> producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
            settings.remove("transactional.id");
            producer.initTransactions();
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(topic, 2, null, "open")).get();
            check("listTransactions", () -> { require(get(admin.listTransactions().all()).stream().anyMatch(t -> t.transactionalId().equals(id)), "not listed"); return null; });
            check("describeTransactions", () -> {
                require(get(admin.describeTransactions(List.of(id)).description(id)).topicPartitions().contains(new TopicPartition(topic, 2)), "partitions");
                return null;
            });
            check("describeProducers", () -> {
                TopicPartition two = new TopicPartition(topic, 2);
                require(get(admin.describeProducers(List.of(two)).partitionResult(two)).activeProducers().stream().anyMatch(p -> p.currentTransactionStartOffset().isPresent()), "none");
                return null;
            });
            check("fenceProducers", () -> {
                get(admin.fenceProducers(List.of(id)).all());
                try {
                    producer.commitTransaction();
                    throw new AssertionError("a fenced producer committed");
                } catch (KafkaException expected) {
                    producer.close(java.time.Duration.ZERO);
                }
                return null;
            });
            check("forceTerminateTransaction", () -> { get(admin.forceTerminateTransaction(id).result()); return null; });

            // users, rules, quotas
            check("alterUserScramCredentials", () -> {
                get(admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion(id, new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096), "secret"))).all());
                require(get(admin.describeUserScramCredentials(List.of(id)).all()).get(id).credentialInfos().size() == 1, "not there");
                get(admin.alterUserScramCredentials(List.of(new UserScramCredentialDeletion(id, ScramMechanism.SCRAM_SHA_256))).all());
                return null;
            });
            refused("createAcls where nobody is asked", SecurityDisabledException.class, () -> get(admin.createAcls(List.of(new AclBinding(
                new ResourcePattern(ResourceType.TOPIC, topic, PatternType.LITERAL), new AccessControlEntry("User:a", "*", AclOperation.READ, AclPermissionType.ALLOW)))).all()));
            refused("createDelegationToken where nobody is asked", UnsupportedByAuthenticationException.class,
                () -> get(admin.createDelegationToken().delegationToken()));
            refused("describeAcls where nobody is asked", SecurityDisabledException.class, () -> get(admin.describeAcls(AclBindingFilter.ANY).values()));
            check("describeClientQuotas", () -> { require(get(admin.describeClientQuotas(ClientQuotaFilter.all()).entities()).isEmpty(), "quotas"); return null; });
            check("alterClientQuotas", () -> {
                ClientQuotaEntity entity = new ClientQuotaEntity(Map.of("client-id", id));
                ClientQuotaFilter its = ClientQuotaFilter.containsOnly(List.of(ClientQuotaFilterComponent.ofEntity("client-id", id)));
                get(admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(new ClientQuotaAlteration.Op("consumer_byte_rate", 1e6))))).all());
                require(get(admin.describeClientQuotas(its).entities()).equals(Map.of(entity, Map.of("consumer_byte_rate", 1e6))), "not there");
                get(admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(new ClientQuotaAlteration.Op("consumer_byte_rate", null))))).all());
                require(get(admin.describeClientQuotas(its).entities()).isEmpty(), "still there");
                return null;
            });
            check("alterClientQuotas of an address", () -> {
                ClientQuotaEntity entity = new ClientQuotaEntity(Map.of("ip", "10.99.0.1"));
                ClientQuotaFilter its = ClientQuotaFilter.containsOnly(List.of(ClientQuotaFilterComponent.ofEntity("ip", "10.99.0.1")));
                get(admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(new ClientQuotaAlteration.Op("connection_creation_rate", 7.0))))).all());
                require(get(admin.describeClientQuotas(its).entities()).equals(Map.of(entity, Map.of("connection_creation_rate", 7.0))), "not there");
                get(admin.alterClientQuotas(List.of(new ClientQuotaAlteration(entity, List.of(new ClientQuotaAlteration.Op("connection_creation_rate", null))))).all());
                require(get(admin.describeClientQuotas(its).entities()).isEmpty(), "still there");
                return null;
            });

            // replicas: there is one
            check("electLeaders", () -> { get(admin.electLeaders(ElectionType.PREFERRED, Set.of(zero)).partitions()); return null; });
            check("listPartitionReassignments", () -> { require(get(admin.listPartitionReassignments().reassignments()).isEmpty(), "some"); return null; });
            refused("alterPartitionReassignments", InvalidReplicaAssignmentException.class, () -> get(admin.alterPartitionReassignments(
                Map.of(zero, Optional.of(new NewPartitionReassignment(List.of(2))))).all()));

            check("deleteTopics", () -> { get(admin.deleteTopics(List.of(topic)).all()); return null; });
            refused("deleteTopics again", UnknownTopicOrPartitionException.class, () -> get(admin.deleteTopics(List.of(topic)).all()));

            // the node: its voters, its loggers, what has settings
            check("describeMetadataQuorum", () -> {
                QuorumInfo quorum = get(admin.describeMetadataQuorum().quorumInfo());
                require(quorum.leaderId() == 1 && quorum.voters().size() == 1 && quorum.observers().isEmpty() && quorum.leaderEpoch() > 0, quorum);
                require(quorum.highWatermark() == quorum.voters().get(0).logEndOffset() && quorum.nodes().get(1).endpoints().size() == 1, quorum);
                return null;
            });
            refused("addRaftVoter", UnsupportedVersionException.class,
                () -> get(admin.addRaftVoter(2, Uuid.randomUuid(), Set.of(new RaftVoterEndpoint("CONTROLLER", "localhost", 9093))).all()));
            refused("removeRaftVoter", UnsupportedVersionException.class, () -> get(admin.removeRaftVoter(1, Uuid.randomUuid()).all()));
            refused("unregisterBroker", BrokerIdNotRegisteredException.class, () -> get(admin.unregisterBroker(7).all()));
            refused("unregisterBroker that runs", InvalidRequestException.class, () -> get(admin.unregisterBroker(1).all()));
            check("listConfigResources", () -> {
                ConfigResource wanted = new ConfigResource(ConfigResource.Type.CLIENT_METRICS, id);
                get(admin.incrementalAlterConfigs(Map.of(wanted, List.of(
                    new AlterConfigOp(new ConfigEntry("metrics", "no.such.metric"), AlterConfigOp.OpType.SET),
                    new AlterConfigOp(new ConfigEntry("match", "client_id=" + id), AlterConfigOp.OpType.SET)))).all());
                require(get(admin.listConfigResources(Set.of(ConfigResource.Type.CLIENT_METRICS), new ListConfigResourcesOptions()).all()).contains(wanted), "not listed");
                Config described = get(admin.describeConfigs(List.of(wanted)).all()).get(wanted);
                require(described.get("metrics").source() == ConfigEntry.ConfigSource.DYNAMIC_CLIENT_METRICS_CONFIG && described.get("interval.ms").isDefault(), described);
                get(admin.incrementalAlterConfigs(Map.of(wanted, List.of(
                    new AlterConfigOp(new ConfigEntry("metrics", ""), AlterConfigOp.OpType.DELETE), new AlterConfigOp(new ConfigEntry("match", ""), AlterConfigOp.OpType.DELETE)))).all());
                require(!get(admin.listConfigResources(Set.of(ConfigResource.Type.CLIENT_METRICS), new ListConfigResourcesOptions()).all()).contains(wanted), "still listed");
                require(get(admin.listConfigResources().all()).contains(new ConfigResource(ConfigResource.Type.BROKER, "1")), "no broker");
                return null;
            });
            check("levels of loggers", () -> {
                ConfigResource loggers = new ConfigResource(ConfigResource.Type.BROKER_LOGGER, "1");
                Config before = get(admin.describeConfigs(List.of(loggers)).all()).get(loggers);
                require(before.get("root") != null && before.get("martlet.kafka").source() == ConfigEntry.ConfigSource.DYNAMIC_BROKER_LOGGER_CONFIG, before);
                get(admin.incrementalAlterConfigs(Map.of(loggers, List.of(new AlterConfigOp(new ConfigEntry("martlet.groups", "ERROR"), AlterConfigOp.OpType.SET)))).all());
                require(get(admin.describeConfigs(List.of(loggers)).all()).get(loggers).get("martlet.groups").value().equals("ERROR"), "level");
                get(admin.incrementalAlterConfigs(Map.of(loggers, List.of(new AlterConfigOp(new ConfigEntry("martlet.groups", ""), AlterConfigOp.OpType.DELETE)))).all());
                return null;
            });
            refused("level of no logger", InvalidConfigurationException.class, () -> get(admin.incrementalAlterConfigs(Map.of(
                new ConfigResource(ConfigResource.Type.BROKER_LOGGER, "1"), List.of(new AlterConfigOp(new ConfigEntry("no.such.logger", "INFO"), AlterConfigOp.OpType.SET)))).all()));
        }
        System.exit(failed ? 1 : 0);
    }

    static KafkaConsumer<String, String> consumer(Map<String, Object> base, String group, String protocol) {
        Map<String, Object> settings = new HashMap<>(base);
        settings.putAll(Map.of("group.id", group, "group.protocol", protocol, "auto.offset.reset", "earliest", "enable.auto.commit", false));
        return new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
    }
}
