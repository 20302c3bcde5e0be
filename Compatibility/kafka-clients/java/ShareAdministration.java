import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.serialization.*;

/** The administration of share groups with the Java client's Admin (4.2), beside their members: ShareAdministration BOOTSTRAP. */
public class ShareAdministration extends Calls {
    static String topic, group;

    public static void main(String[] arguments) throws Exception {
        String run = Long.toHexString(System.nanoTime());
        topic = "compat-java-share-" + run;
        group = "compat-java-share-" + run;
        TopicPartition zero = new TopicPartition(topic, 0), one = new TopicPartition(topic, 1);
        Map<String, Object> settings = Map.of("bootstrap.servers", arguments[0], "default.api.timeout.ms", 30000, "request.timeout.ms", 20000);
        try (Admin admin = Admin.create(settings)) {
            get(admin.createTopics(List.of(new NewTopic(topic, 2, (short) 1))).all());
            check("share.version", () -> {
                FinalizedVersionRange range = get(admin.describeFeatures().featureMetadata()).finalizedFeatures().get("share.version");
                require(range != null && range.maxVersionLevel() == 1, range);
            });
            check("settings of a share group", () -> settingsOfAGroup(admin));
            produce(settings, 10);
            check("members", () -> {
                try (KafkaShareConsumer<String, String> a = consumer(settings); KafkaShareConsumer<String, String> b = consumer(settings)) {
                    a.subscribe(List.of(topic));
                    b.subscribe(List.of(topic));
                    awaitMembers(admin, a, b);
                    describes(admin);
                    lists(admin, GroupState.STABLE);
                    refused("alterShareGroupOffsets with members", GroupNotEmptyException.class,
                        () -> get(admin.alterShareGroupOffsets(group, Map.of(zero, 3L)).all()));
                    refused("deleteShareGroupOffsets with members", GroupNotEmptyException.class,
                        () -> get(admin.deleteShareGroupOffsets(group, Set.of(topic)).all()));
                    refused("deleteShareGroups with members", GroupNotEmptyException.class,
                        () -> get(admin.deleteShareGroups(List.of(group)).all()));
                }
            });
            check("members have left", () -> {
                ShareGroupDescription description = describe(admin);
                require(description.groupState() == GroupState.EMPTY && description.members().isEmpty(), description);
                lists(admin, GroupState.EMPTY);
            });
            check("alterShareGroupOffsets", () -> {
                get(admin.alterShareGroupOffsets(group, Map.of(zero, 3L, one, 0L)).all());
                Map<TopicPartition, SharePartitionOffsetInfo> offsets = offsets(admin, new ListShareGroupOffsetsSpec());
                require(offsets.get(zero).startOffset() == 3 && offsets.get(one).startOffset() == 0, offsets);
                require(offsets.get(zero).lag().orElse(-1L) + offsets.get(one).lag().orElse(-1L) == 7, offsets);
                offsets = offsets(admin, new ListShareGroupOffsetsSpec().topicPartitions(List.of(zero)));
                require(offsets.size() == 1 && offsets.get(zero).startOffset() == 3, offsets);
            });
            refused("alterShareGroupOffsets of no topic", UnknownTopicOrPartitionException.class,
                () -> get(admin.alterShareGroupOffsets(group, Map.of(new TopicPartition("absent-" + topic, 0), 1L)).all()));
            check("a member reads from there", () -> {
                try (KafkaShareConsumer<String, String> consumer = consumer(settings)) {
                    consumer.subscribe(List.of(topic));
                    Set<Long> first = new TreeSet<>();
                    int count = 0;
                    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
                    while (count < 7 && System.nanoTime() < end)
                        for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
                            count++;
                            if (record.partition() == 0) first.add(record.offset());
                        }
                    require(count == 7 && first.stream().allMatch(offset -> offset >= 3), count + " records, of partition 0 " + first);
                    consumer.commitSync();
                }
                Map<TopicPartition, SharePartitionOffsetInfo> offsets = offsets(admin, new ListShareGroupOffsetsSpec());
                require(offsets.values().stream().allMatch(offset -> offset.lag().orElse(-1L) == 0), offsets);
            });
            check("deleteShareGroupOffsets", () -> {
                get(admin.deleteShareGroupOffsets(group, Set.of(topic)).all());
                require(offsets(admin, new ListShareGroupOffsetsSpec()).isEmpty(), "there are offsets still");
            });
            refused("deleteShareGroupOffsets again", UnknownTopicOrPartitionException.class,
                () -> get(admin.deleteShareGroupOffsets(group, Set.of(topic)).topicResult(topic)));
            otherKinds(admin, settings, zero);
            check("deleteShareGroups", () -> get(admin.deleteShareGroups(List.of(group)).all()));
            refused("describeShareGroups of none", GroupIdNotFoundException.class, () -> describe(admin));
            refused("deleteShareGroups of none", GroupIdNotFoundException.class, () -> get(admin.deleteShareGroups(List.of(group)).all()));
            get(admin.deleteTopics(List.of(topic)).all());
        }
        System.exit(failed ? 1 : 0);
    }

    static void settingsOfAGroup(Admin admin) throws Exception {
        ConfigResource resource = new ConfigResource(ConfigResource.Type.GROUP, group);
        get(admin.incrementalAlterConfigs(Map.of(resource, List.of(
            new AlterConfigOp(new ConfigEntry("share.auto.offset.reset", "earliest"), AlterConfigOp.OpType.SET),
            new AlterConfigOp(new ConfigEntry("share.record.lock.duration.ms", "20000"), AlterConfigOp.OpType.SET)))).all());
        Config config = get(admin.describeConfigs(List.of(resource)).all()).get(resource);
        require(config.get("share.auto.offset.reset").value().equals("earliest"), config);
        require(config.get("share.record.lock.duration.ms").source() == ConfigEntry.ConfigSource.DYNAMIC_GROUP_CONFIG, config);
        require(config.get("share.session.timeout.ms").isDefault() && config.get("share.isolation.level").value().equals("read_uncommitted"), config);
        refused("a lock that is too short", InvalidConfigurationException.class, () -> get(admin.incrementalAlterConfigs(Map.of(resource, List.of(
            new AlterConfigOp(new ConfigEntry("share.record.lock.duration.ms", "1"), AlterConfigOp.OpType.SET)))).all()));
    }

    static void produce(Map<String, Object> base, int count) throws Exception {
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(base, new StringSerializer(), new StringSerializer())) {
            for (int i = 0; i < count; i++) producer.send(new ProducerRecord<>(topic, i % 2, "k", "v" + i)).get(30, TimeUnit.SECONDS);
        }
    }

    /** Polls until the group has a member for each consumer, and each has its partition. */
    @SafeVarargs static void awaitMembers(Admin admin, KafkaShareConsumer<String, String>... consumers) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(60);
        while (System.nanoTime() < end) {
            for (KafkaShareConsumer<String, String> consumer : consumers) consumer.poll(Duration.ofMillis(100));
            try {
                Collection<ShareMemberDescription> members = describe(admin).members();
                if (members.size() == consumers.length && members.stream().allMatch(m -> m.assignment().topicPartitions().size() == 1)) return;
            } catch (GroupIdNotFoundException notYet) {
            }
        }
        throw new AssertionError("not all are members with a partition: " + describe(admin));
    }

    static ShareGroupDescription describe(Admin admin) throws Exception {
        return get(admin.describeShareGroups(List.of(group), new DescribeShareGroupsOptions().includeAuthorizedOperations(true)).all()).get(group);
    }

    static void describes(Admin admin) throws Exception {
        ShareGroupDescription description = describe(admin);
        require(description.groupState() == GroupState.STABLE && description.groupEpoch() == description.targetAssignmentEpoch(), description);
        require(description.authorizedOperations().contains(AclOperation.READ), description);
        Set<TopicPartition> read = new HashSet<>();
        for (ShareMemberDescription member : description.members()) read.addAll(member.assignment().topicPartitions());
        require(read.size() == 2, description);
        for (ShareMemberDescription member : description.members()) require(member.memberEpoch() > 0 && !member.host().isEmpty(), member);
    }

    static void lists(Admin admin, GroupState state) throws Exception {
        GroupListing all = get(admin.listGroups().all()).stream().filter(g -> g.groupId().equals(group)).findFirst().orElseThrow();
        require(all.type().get() == GroupType.SHARE && all.groupState().get() == state && all.protocol().equals("share"), all);
        require(get(admin.listGroups(ListGroupsOptions.forShareGroups()).all()).stream().anyMatch(g -> g.groupId().equals(group)), "not listed by type");
        require(get(admin.listGroups(ListGroupsOptions.forConsumerGroups()).all()).stream().noneMatch(g -> g.groupId().equals(group)), "listed as consumers");
    }

    static Map<TopicPartition, SharePartitionOffsetInfo> offsets(Admin admin, ListShareGroupOffsetsSpec spec) throws Exception {
        return get(admin.listShareGroupOffsets(Map.of(group, spec)).partitionsToOffsetInfo(group));
    }

    /** A share group is no group of consumers, and the other way round. */
    static void otherKinds(Admin admin, Map<String, Object> settings, TopicPartition zero) {
        String other = group + "-consumers";
        refused("alterConsumerGroupOffsets of a share group", GroupIdNotFoundException.class,
            () -> get(admin.alterConsumerGroupOffsets(group, Map.of(zero, new OffsetAndMetadata(1))).all()));
        refused("describeConsumerGroups of a share group", GroupIdNotFoundException.class,
            () -> get(admin.describeConsumerGroups(List.of(group)).all()));
        check("offsets of consumers", () -> get(admin.alterConsumerGroupOffsets(other, Map.of(zero, new OffsetAndMetadata(1))).all()));
        refused("describeShareGroups of consumers", GroupIdNotFoundException.class, () -> get(admin.describeShareGroups(List.of(other)).all()));
        refused("alterShareGroupOffsets of consumers", GroupIdNotFoundException.class,
            () -> get(admin.alterShareGroupOffsets(other, Map.of(zero, 1L)).all()));
        for (String protocol : List.of("classic", "consumer"))
            check("a consumer of protocol " + protocol + " cannot join a share group", () -> {
                Map<String, Object> mine = new HashMap<>(settings);
                mine.putAll(Map.of("group.id", group, "group.protocol", protocol));
                try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(mine, new StringDeserializer(), new StringDeserializer())) {
                    consumer.subscribe(List.of(topic));
                    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(20);
                    while (System.nanoTime() < end) consumer.poll(Duration.ofMillis(100));
                    throw new AssertionError("nothing was refused");
                } catch (InconsistentGroupProtocolException | GroupIdNotFoundException expected) {
                }
            });
        check("deleteConsumerGroups", () -> get(admin.deleteConsumerGroups(List.of(other)).all()));
    }

    static KafkaShareConsumer<String, String> consumer(Map<String, Object> base) {
        Map<String, Object> settings = new HashMap<>(base);
        settings.put("group.id", group);
        return new KafkaShareConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
    }
}
