import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.consumer.internals.*;
import org.apache.kafka.clients.consumer.internals.StreamsRebalanceData.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.serialization.*;

/**
 * Streams groups (KIP-1071) with the Java client of 4.2: Streams BOOTSTRAP [outlive]. What Kafka Streams does with group.protocol=streams it does through the
 * consumer that is used here: it brings a topology, hears of tasks, gives them up and takes them over. The application counts words:
 * words → by-word → counts, with the changelog of a store.
 */
public class Streams {
    static String bootstrap;
    static final String run = Long.toHexString(System.nanoTime());
    static final String group = "compat-streams-" + run, words = group + "-words", byWord = group + "-by-word", changelog = group + "-counts-changelog";

    static Map<String, Object> settings(Object... pairs) {
        Map<String, Object> map = new HashMap<>(Map.of("bootstrap.servers", bootstrap));
        for (int i = 0; i < pairs.length; i += 2) map.put((String) pairs[i], pairs[i + 1]);
        return map;
    }

    static void require(boolean condition, Object what) {
        if (!condition) throw new AssertionError(what);
    }

    static <T> T get(KafkaFuture<T> future) throws Exception {
        try {
            return future.get(30, TimeUnit.SECONDS);
        } catch (ExecutionException error) {
            throw error.getCause() instanceof Exception cause ? cause : error;
        }
    }

    static final List<Member> members = new CopyOnWriteArrayList<>();

    static void await(String what, Callable<Boolean> condition) throws Exception {
        long end = System.currentTimeMillis() + 60_000;
        while (!condition.call()) {
            require(System.currentTimeMillis() < end, "waited in vain: " + what + "; " + members);
            Thread.sleep(50);
        }
        System.out.println("ok " + what);
    }

    /** One thread of the application. */
    static class Member implements Runnable, StreamsRebalanceListener {
        final StreamsRebalanceData data;
        final Set<TaskId> active = ConcurrentHashMap.newKeySet(), standby = ConcurrentHashMap.newKeySet();
        /** What it counted in partitions that it has. */
        final Map<String, Integer> counted = new ConcurrentHashMap<>();
        volatile boolean isStopping = false;
        volatile Throwable error;
        final Thread thread = new Thread(this);

        Member(UUID process, int port, Map<String, Subtopology> topology) {
            data = new StreamsRebalanceData(process, Optional.of(new HostInfo("localhost", port)), topology, Map.of("zone", "z" + port));
            members.add(this);
            thread.setDaemon(true);
            thread.start();
        }

        public String toString() { return "active " + active + ", standby " + standby + ", statuses " + data.statuses() + ", counted " + counted + ", error " + error; }

        public void onTasksRevoked(Set<TaskId> tasks) { active.removeAll(tasks); }

        public void onTasksAssigned(Assignment assignment) {
            active.retainAll(assignment.activeTasks());
            active.addAll(assignment.activeTasks());
            standby.retainAll(assignment.standbyTasks());
            standby.addAll(assignment.standbyTasks());
            data.setReconciledAssignment(assignment);
        }

        public void onAllTasksLost() {
            active.clear();
            standby.clear();
            data.setReconciledAssignment(Assignment.EMPTY);
        }

        public void run() {
            ConsumerConfig config = new ConsumerConfig(ConsumerConfig.appendDeserializerToConfig(
                settings("group.id", group, "group.protocol", "consumer", "auto.offset.reset", "earliest", "enable.auto.commit", false, "allow.auto.create.topics", false, "max.poll.interval.ms", 20000),
                new StringDeserializer(), new StringDeserializer()));
            try (AsyncKafkaConsumer<String, String> consumer = new AsyncKafkaConsumer<>(config, new StringDeserializer(), new StringDeserializer(), Optional.of(data));
                 KafkaProducer<String, String> producer = new KafkaProducer<>(settings(), new StringSerializer(), new StringSerializer())) {
                consumer.subscribe(Set.of(words, byWord), this);
                while (!isStopping) {
                    ConsumerRecords<String, String> records = consumer.poll(Duration.ofMillis(100));
                    for (ConsumerRecord<String, String> record : records) {
                        if (record.topic().equals(words)) {
                            for (String word : record.value().split(" ")) producer.send(new ProducerRecord<>(byWord, word, "1"));
                        } else {
                            int count = counted.merge(record.key(), 1, Integer::sum);
                            producer.send(new ProducerRecord<>(changelog, record.partition(), record.key(), "" + count));
                        }
                    }
                    producer.flush();
                    try {
                        if (!records.isEmpty()) consumer.commitSync();
                    } catch (CommitFailedException migrated) {
                        // It is out, and hears so with its next heartbeat; what it did not commit comes again.
                        continue;
                    }
                }
            } catch (Throwable error) {
                this.error = error;
            }
        }

        void stop() throws Exception {
            isStopping = true;
            thread.join(30_000);
            require(!thread.isAlive() && error == null, error);
        }
    }

    static Set<TaskId> union(Member... members) {
        Set<TaskId> all = new HashSet<>();
        for (Member member : members) for (TaskId task : member.active) require(all.add(task), task + " is active twice");
        return all;
    }

    static int counted() { return members.stream().flatMap(member -> member.counted.values().stream()).mapToInt(Integer::intValue).sum(); }

    /** Two members; between "ready" and the line that it then reads the broker may be killed and started. They go on. */
    static void outlive() throws Exception {
        Member one, two;
        try (Admin admin = Admin.create(settings())) {
            get(admin.createTopics(List.of(new NewTopic(words, 3, (short) 1))).all());
            one = new Member(UUID.randomUUID(), 1001, topology);
            two = new Member(UUID.randomUUID(), 1002, topology);
            await("three tasks each", () -> one.active.size() == 3 && two.active.size() == 3);
        }
        System.out.println("ready");
        System.in.read();
        try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings(), new StringSerializer(), new StringSerializer())) {
            for (int i = 0; i < 30; i++) producer.send(new ProducerRecord<>(words, "" + i, "a b c"));
        }
        await("90 words", () -> counted() >= 90 && union(one, two).size() == 6);
        require(one.error == null && two.error == null, members);
        one.stop();
        two.stop();
    }

    static final Map<String, Subtopology> topology = Map.of(
        "0", new Subtopology(Set.of(words), Set.of(byWord), Map.of(), Map.of(), List.of()),
        "1", new Subtopology(Set.of(), Set.of(), Map.of(byWord, new TopicInfo(Optional.empty(), Optional.empty(), Map.of("cleanup.policy", "delete", "retention.ms", "-1"))),
            Map.of(changelog, new TopicInfo(Optional.empty(), Optional.empty(), Map.of("cleanup.policy", "compact"))), List.of()));

    public static void main(String[] arguments) throws Exception {
        bootstrap = arguments[0];
        if (arguments.length > 1) {
            outlive();
            return;
        }
        ConfigResource settings = new ConfigResource(ConfigResource.Type.GROUP, group);
        try (Admin admin = Admin.create(settings()); KafkaProducer<String, String> producer = new KafkaProducer<>(settings(), new StringSerializer(), new StringSerializer())) {
            require(get(admin.describeFeatures().featureMetadata()).finalizedFeatures().containsKey("streams.version"), "streams.version");
            get(admin.incrementalAlterConfigs(Map.of(settings, List.of(
                new AlterConfigOp(new ConfigEntry("streams.num.standby.replicas", "1"), AlterConfigOp.OpType.SET),
                new AlterConfigOp(new ConfigEntry("streams.initial.rebalance.delay.ms", "100"), AlterConfigOp.OpType.SET)))).all());
            Member one = new Member(UUID.randomUUID(), 1001, topology);
            // Until the source is there, its members hear what is missing.
            await("a missing source is told", () -> one.data.statuses().stream().anyMatch(status -> status.statusCode() == 1));
            require(get(admin.describeStreamsGroups(List.of(group)).all()).get(group).groupState() == GroupState.NOT_READY, "state");
            get(admin.createTopics(List.of(new NewTopic(words, 3, (short) 1))).all());
            await("six tasks for one member", () -> one.active.size() == 6 && one.data.statuses().isEmpty());
            Map<String, TopicDescription> made = get(admin.describeTopics(List.of(byWord, changelog)).allTopicNames());
            require(made.values().stream().allMatch(topic -> topic.partitions().size() == 3), made);
            ConfigResource log = new ConfigResource(ConfigResource.Type.TOPIC, changelog);
            require(get(admin.describeConfigs(List.of(log)).all()).get(log).get("cleanup.policy").value().equals("compact"), "changelog is compacted");

            for (int i = 0; i < 300; i++) producer.send(new ProducerRecord<>(words, "" + i, "a b " + (char) ('c' + i % 3)));
            producer.flush();
            await("900 words", () -> counted() == 900);
            require(one.counted.get("a") == 300 && one.counted.get("c") == 100, one.counted);

            Member two = new Member(UUID.randomUUID(), 1002, topology);
            await("each has half, and copies of the other's", () -> union(one, two).size() == 6 && one.active.size() == 3
                && one.standby.size() + two.standby.size() == 3);
            Member stranger = new Member(UUID.randomUUID(), 1003, Map.of("0", new Subtopology(Set.of(words), Set.of(), Map.of(), Map.of(), List.of())));
            await("another topology is refused", () -> stranger.error instanceof StreamsInvalidTopologyEpochException);
            StreamsGroupDescription described = get(admin.describeStreamsGroups(List.of(group), new DescribeStreamsGroupsOptions().includeAuthorizedOperations(true)).all()).get(group);
            await("the group is stable", () -> get(admin.describeStreamsGroups(List.of(group)).all()).get(group).groupState() == GroupState.STABLE);
            require(described.members().size() == 2 && described.subtopologies().size() == 2 && !described.authorizedOperations().isEmpty(), described);
            for (StreamsGroupMemberDescription member : described.members())
                require(member.userEndpoint().isPresent() && member.clientTags().containsKey("zone") && !member.isClassic() && member.topologyEpoch() == 0, member);
            require(get(admin.listGroups(ListGroupsOptions.forStreamsGroups()).all()).stream().anyMatch(listed -> listed.groupId().equals(group)), "not listed");
            await("everybody knows where everything is", () -> one.data.partitionsByHost().size() == 2
                && one.data.partitionsByHost().values().stream().mapToInt(host -> host.activePartitions().size()).sum() == 6);
            for (int i = 0; i < 60; i++) producer.send(new ProducerRecord<>(words, "" + i, "x y z"));
            producer.flush();
            await("both count on", () -> counted() == 1080);

            try {
                get(admin.deleteStreamsGroups(List.of(group)).all());
                throw new AssertionError("a group with members was deleted");
            } catch (GroupNotEmptyException expected) { System.out.println("ok a group with members stays"); }
            one.stop();
            await("the other takes over", () -> two.active.size() == 6 && two.standby.isEmpty());
            two.data.requestShutdown();
            await("the shutdown is told", () -> two.data.statuses().stream().anyMatch(status -> status.statusCode() == 4));
            two.stop();

            Map<TopicPartition, OffsetAndMetadata> offsets = get(admin.listStreamsGroupOffsets(Map.of(group, new ListStreamsGroupOffsetsSpec())).all()).get(group);
            require(offsets.entrySet().stream().filter(entry -> entry.getKey().topic().equals(words)).mapToLong(entry -> entry.getValue().offset()).sum() == 360, offsets);
            TopicPartition zero = new TopicPartition(words, 0);
            get(admin.alterStreamsGroupOffsets(group, Map.of(zero, new OffsetAndMetadata(1))).all());
            require(get(admin.listStreamsGroupOffsets(Map.of(group, new ListStreamsGroupOffsetsSpec())).partitionsToOffsetAndMetadata(group)).get(zero).offset() == 1, "altered");
            get(admin.deleteStreamsGroupOffsets(group, Set.of(zero)).all());
            require(get(admin.listStreamsGroupOffsets(Map.of(group, new ListStreamsGroupOffsetsSpec())).partitionsToOffsetAndMetadata(group)).get(zero) == null, "deleted");
            require(get(admin.describeStreamsGroups(List.of(group)).all()).get(group).groupState() == GroupState.EMPTY, "empty");
            get(admin.deleteStreamsGroups(List.of(group)).all());
            try {
                get(admin.describeStreamsGroups(List.of(group)).all());
                throw new AssertionError("the group is still there");
            } catch (GroupIdNotFoundException expected) { System.out.println("ok deleted"); }
        }
    }
}
