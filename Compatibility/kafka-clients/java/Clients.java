import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.*;

/** The Java client against a broker: Clients BOOTSTRAP. Ends with 0 when everything was as it should be, and says what was not. */
public class Clients {
    static String bootstrap;
    static final String run = Long.toHexString(System.nanoTime());

    interface Check { void run() throws Exception; }

    static Map<String, Object> settings(Object... pairs) {
        Map<String, Object> map = new HashMap<>();
        map.put("bootstrap.servers", bootstrap);
        for (int i = 0; i < pairs.length; i += 2) map.put((String) pairs[i], pairs[i + 1]);
        return map;
    }

    static KafkaProducer<String, String> producer(Object... pairs) {
        return new KafkaProducer<>(settings(pairs), new StringSerializer(), new StringSerializer());
    }

    static KafkaConsumer<String, String> consumer(Object... pairs) {
        return new KafkaConsumer<>(settings(pairs), new StringDeserializer(), new StringDeserializer());
    }

    static void require(boolean condition, Object what) {
        if (!condition) throw new AssertionError(what);
    }

    static List<String> read(KafkaConsumer<String, String> consumer, int count) {
        List<String> values = new ArrayList<>();
        long end = System.currentTimeMillis() + 60_000;
        while (values.size() < count) {
            require(System.currentTimeMillis() < end, values.size() + " of " + count + " records");
            for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) values.add(record.value());
        }
        return values;
    }

    public static void main(String[] arguments) throws Exception {
        bootstrap = arguments[0];
        Map<String, Check> checks = new LinkedHashMap<>();
        checks.put("codecs", Clients::codecs);
        checks.put("classic group", () -> group("classic"));
        checks.put("consumer group", () -> group("consumer"));
        checks.put("transactions", Clients::transactions);
        checks.put("administration", Clients::administration);
        boolean failed = false;
        for (Map.Entry<String, Check> check : checks.entrySet()) {
            try {
                check.getValue().run();
                System.out.println("ok " + check.getKey());
            } catch (Throwable error) {
                failed = true;
                System.out.println("failed " + check.getKey() + ": " + error);
                error.printStackTrace(System.out);
            }
        }
        System.exit(failed ? 1 : 0);
    }

    static String topic(String name, int partitions) throws Exception {
        String full = "compat-java-" + name + "-" + run;
        try (Admin admin = Admin.create(settings())) {
            admin.createTopics(List.of(new NewTopic(full, partitions, (short) 1))).all().get(30, TimeUnit.SECONDS);
        }
        return full;
    }

    /** Those whose libraries are on the classpath. */
    static List<String> codecsAtHand() {
        List<String> codecs = new ArrayList<>(List.of("none", "gzip"));
        Map<String, String> libraries = Map.of("lz4", "net.jpountz.lz4.LZ4Factory", "zstd", "com.github.luben.zstd.Zstd", "snappy", "org.xerial.snappy.Snappy");
        for (Map.Entry<String, String> library : new TreeMap<>(libraries).entrySet()) {
            try {
                Class.forName(library.getValue());
                codecs.add(library.getKey());
            } catch (Throwable missing) {
                System.out.println("not tried, there is no library: " + library.getKey());
            }
        }
        return codecs;
    }

    static void codecs() throws Exception {
        for (String codec : codecsAtHand()) {
            String topic = topic("codec-" + codec, 1);
            List<String> sent = new ArrayList<>();
            try (KafkaProducer<String, String> producer = producer("compression.type", codec, "linger.ms", 5)) {
                for (int i = 0; i < 5000; i++) {
                    sent.add("value " + i);
                    producer.send(new ProducerRecord<>(topic, "k" + i % 7, "value " + i));
                }
                producer.flush();
            }
            try (KafkaConsumer<String, String> consumer = consumer("auto.offset.reset", "earliest")) {
                consumer.assign(List.of(new TopicPartition(topic, 0)));
                require(read(consumer, sent.size()).equals(sent), codec);
            }
        }
    }

    static void group(String protocol) throws Exception {
        String topic = topic("group-" + protocol, 4), group = "compat-java-" + protocol + "-" + run;
        try (KafkaProducer<String, String> producer = producer()) {
            for (int i = 0; i < 400; i++) producer.send(new ProducerRecord<>(topic, i % 4, null, "v" + i));
        }
        Object[] pairs = {"group.id", group, "group.protocol", protocol, "auto.offset.reset", "earliest", "enable.auto.commit", false};
        KafkaConsumer<String, String> one = consumer(pairs), two = consumer(pairs);
        one.subscribe(List.of(topic));
        Set<String> seen = new HashSet<>(read(one, 400));
        require(seen.size() == 400, seen.size());
        one.commitSync();
        two.subscribe(List.of(topic));
        long end = System.currentTimeMillis() + 60_000;
        while (one.assignment().size() != 2 || two.assignment().size() != 2) {
            require(System.currentTimeMillis() < end, one.assignment() + " " + two.assignment());
            one.poll(Duration.ofMillis(100));
            two.poll(Duration.ofMillis(100));
        }
        try (Admin admin = Admin.create(settings())) {
            ConsumerGroupDescription described = admin.describeConsumerGroups(List.of(group)).all().get(30, TimeUnit.SECONDS).get(group);
            require(described.members().size() == 2, described);
            require(described.state() == ConsumerGroupState.STABLE, described);
            long committed = admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get(30, TimeUnit.SECONDS)
                .values().stream().mapToLong(OffsetAndMetadata::offset).sum();
            require(committed == 400, committed);
        }
        one.close();
        try (KafkaProducer<String, String> producer = producer()) {
            for (int i = 0; i < 40; i++) producer.send(new ProducerRecord<>(topic, i % 4, null, "w" + i));
        }
        require(new HashSet<>(read(two, 40)).size() == 40, "after a member left");
        two.close();
        try (Admin admin = Admin.create(settings())) {
            admin.deleteConsumerGroups(List.of(group)).all().get(30, TimeUnit.SECONDS);
        }
    }

    static void transactions() throws Exception {
        String in = topic("tx-in", 1), out = topic("tx-out", 2), group = "compat-java-tx-" + run, id = "compat-java-tx-" + run;
        try (KafkaProducer<String, String> producer = producer()) {
            for (int i = 0; i < 20; i++) producer.send(new ProducerRecord<>(in, "v" + i));
        }
        KafkaProducer<String, String> zombie = producer("transactional.id", id);
        zombie.initTransactions();
        zombie.beginTransaction();
        zombie.send(new ProducerRecord<>(out, 0, null, "zombie")).get(30, TimeUnit.SECONDS);
        try (Admin admin = Admin.create(settings())) {
            require(admin.listTransactions().all().get(30, TimeUnit.SECONDS).stream().anyMatch(
                t -> t.transactionalId().equals(id) && t.state() == TransactionState.ONGOING), "the open transaction is listed");
            TransactionDescription described = admin.describeTransactions(List.of(id)).description(id).get(30, TimeUnit.SECONDS);
            require(described.topicPartitions().contains(new TopicPartition(out, 0)), described);
            require(!admin.describeProducers(List.of(new TopicPartition(out, 0))).all().get(30, TimeUnit.SECONDS).isEmpty(), "producers");
        }
        KafkaProducer<String, String> producer = producer("transactional.id", id);
        producer.initTransactions();
        try {
            zombie.commitTransaction();
            throw new AssertionError("a zombie committed");
        } catch (org.apache.kafka.common.KafkaException expected) {
            zombie.close(Duration.ZERO);
        }
        KafkaConsumer<String, String> source = consumer("group.id", group, "auto.offset.reset", "earliest", "enable.auto.commit", false);
        source.subscribe(List.of(in));
        for (int batch = 0; batch < 4; batch++) {
            boolean commit = batch % 2 == 0;
            producer.beginTransaction();
            for (int i = 0; i < 5; i++) producer.send(new ProducerRecord<>(out, i % 2, null, (commit ? "kept-" : "gone-") + batch + "-" + i));
            if (commit) {
                if (batch == 0) read(source, 20);
                producer.sendOffsetsToTransaction(
                    Map.of(new TopicPartition(in, 0), new OffsetAndMetadata(5 + batch)), source.groupMetadata());
                producer.commitTransaction();
            } else {
                producer.flush();
                producer.abortTransaction();
            }
        }
        require(source.committed(Set.of(new TopicPartition(in, 0))).get(new TopicPartition(in, 0)).offset() == 7, "offset of the transaction");
        source.close();
        producer.close();
        try (KafkaConsumer<String, String> consumer = consumer("isolation.level", "read_committed", "auto.offset.reset", "earliest")) {
            consumer.assign(List.of(new TopicPartition(out, 0), new TopicPartition(out, 1)));
            List<String> values = read(consumer, 10);
            require(values.stream().allMatch(v -> v.startsWith("kept-")) && new HashSet<>(values).size() == 10, values);
            require(consumer.poll(Duration.ofMillis(500)).isEmpty(), "more than was committed");
        }
    }

    static void administration() throws Exception {
        String topic = topic("admin", 2);
        try (Admin admin = Admin.create(settings())) {
            TopicDescription described = admin.describeTopics(List.of(topic)).allTopicNames().get(30, TimeUnit.SECONDS).get(topic);
            require(described.partitions().size() == 2 && !described.topicId().equals(Uuid.ZERO_UUID), described);
            Collection<Uuid> ids = List.of(described.topicId());
            require(admin.describeTopics(TopicCollection.ofTopicIds(ids)).allTopicIds().get(30, TimeUnit.SECONDS).size() == 1, "by id");
            ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
            admin.incrementalAlterConfigs(Map.of(resource, List.of(
                new AlterConfigOp(new ConfigEntry("retention.ms", "123456"), AlterConfigOp.OpType.SET)))).all().get(30, TimeUnit.SECONDS);
            Config config = admin.describeConfigs(List.of(resource), new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true))
                .all().get(30, TimeUnit.SECONDS).get(resource);
            require(config.get("retention.ms").value().equals("123456"), config);
            require(config.get("retention.ms").type() == ConfigEntry.ConfigType.LONG, config.get("retention.ms"));
            admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(3))).all().get(30, TimeUnit.SECONDS);
            TopicPartition partition = new TopicPartition(topic, 0);
            for (OffsetSpec spec : List.of(OffsetSpec.earliest(), OffsetSpec.latest(), OffsetSpec.maxTimestamp(), OffsetSpec.forTimestamp(5)))
                admin.listOffsets(Map.of(partition, spec)).all().get(30, TimeUnit.SECONDS);
            require(!admin.describeLogDirs(List.of(1)).allDescriptions().get(30, TimeUnit.SECONDS).isEmpty(), "log dirs");
            require(admin.describeCluster().nodes().get(30, TimeUnit.SECONDS).size() == 1, "nodes");
            FeatureMetadata features = admin.describeFeatures().featureMetadata().get(30, TimeUnit.SECONDS);
            require(features.finalizedFeatures().containsKey("transaction.version"), features);
            require(admin.listPartitionReassignments().reassignments().get(30, TimeUnit.SECONDS).isEmpty(), "reassignments");
            admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(0))).all().get(30, TimeUnit.SECONDS);
            admin.deleteTopics(TopicCollection.ofTopicIds(ids)).all().get(30, TimeUnit.SECONDS);
        }
    }
}
