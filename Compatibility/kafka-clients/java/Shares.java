import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;
import java.util.concurrent.atomic.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.serialization.*;

/**
 * Share groups with the Java client (4.2): Shares BOOTSTRAP. Ends with 0 when everything went as it should.
 *
 * Shares BOOTSTRAP take TOPIC GROUP COUNT takes so many records, says "taken", and dies; Shares BOOTSTRAP accept TOPIC GROUP COUNT accepts those at even
 * offsets, releases the others and dies; Shares BOOTSTRAP rest TOPIC GROUP COUNT reads what is left and says which they were. Shares BOOTSTRAP measure COUNT tells rates.
 */
public class Shares {
    interface Check { void run() throws Exception; }

    static boolean failed = false;
    static String bootstrap;
    static Admin admin;
    static KafkaProducer<String, String> producer;
    static final String run = Long.toHexString(System.nanoTime());

    static void require(boolean condition, Object what) {
        if (!condition) throw new AssertionError(what);
    }

    static void check(String name, Check check) {
        try {
            check.run();
            System.out.println("ok " + name);
        } catch (Throwable error) {
            failed = true;
            System.out.println("failed " + name + ": " + error);
            error.printStackTrace(System.out);
        }
    }

    static KafkaShareConsumer<String, String> consumer(String group, Object... more) {
        Map<String, Object> settings = new HashMap<>(Map.of("bootstrap.servers", bootstrap, "group.id", group));
        for (int i = 0; i < more.length; i += 2) settings.put((String) more[i], more[i + 1]);
        return new KafkaShareConsumer<>(settings, new StringDeserializer(), new StringDeserializer());
    }

    static KafkaShareConsumer<String, String> explicit(String group, Object... more) {
        Object[] all = Arrays.copyOf(more, more.length + 2);
        all[more.length] = "share.acknowledgement.mode";
        all[more.length + 1] = "explicit";
        return consumer(group, all);
    }

    /** A group that begins with the first record. */
    static String group(String name, String... more) throws Exception {
        String group = "compat-share-" + name + "-" + run;
        begin(group, more);
        return group;
    }

    static void begin(String group, String... more) throws Exception {
        List<AlterConfigOp> changes = new ArrayList<>();
        changes.add(new AlterConfigOp(new ConfigEntry("share.auto.offset.reset", "earliest"), AlterConfigOp.OpType.SET));
        for (int i = 0; i < more.length; i += 2) changes.add(new AlterConfigOp(new ConfigEntry(more[i], more[i + 1]), AlterConfigOp.OpType.SET));
        admin.incrementalAlterConfigs(Map.of(new ConfigResource(ConfigResource.Type.GROUP, group), changes)).all().get(30, TimeUnit.SECONDS);
    }

    static String topic(String name, int partitions) throws Exception {
        String topic = "compat-share-" + name + "-" + run;
        admin.createTopics(List.of(new NewTopic(topic, partitions, (short) 1))).all().get(30, TimeUnit.SECONDS);
        return topic;
    }

    static void produce(String topic, int count) throws Exception {
        for (int i = 0; i < count; i++) producer.send(new ProducerRecord<>(topic, "k" + i, "v" + i));
        producer.flush();
    }

    /** Polls until there are so many, or for so long. */
    static List<ConsumerRecord<String, String>> poll(KafkaShareConsumer<String, String> consumer, int count, long ms) {
        List<ConsumerRecord<String, String>> all = new ArrayList<>();
        long end = System.currentTimeMillis() + ms;
        while (all.size() < count && System.currentTimeMillis() < end) consumer.poll(Duration.ofMillis(200)).forEach(all::add);
        return all;
    }

    static Set<String> values(Collection<ConsumerRecord<String, String>> records) {
        Set<String> values = new TreeSet<>();
        for (ConsumerRecord<String, String> record : records) values.add(record.value());
        return values;
    }

    static void committed(KafkaShareConsumer<String, String> consumer) {
        consumer.commitSync().forEach((id, error) -> require(error.isEmpty(), id + ": " + error));
    }

    public static void main(String[] arguments) throws Exception {
        bootstrap = arguments[0];
        if (arguments.length > 1) {
            if (arguments[1].equals("measure")) measure(Integer.parseInt(arguments[2])); else apart(arguments);
            return;
        }
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap);
        admin = Admin.create(settings);
        producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());

        check("implicit acknowledgement", () -> {
            String topic = topic("implicit", 2), group = group("implicit");
            produce(topic, 3000);
            try (var consumer = consumer(group)) {
                consumer.subscribe(List.of(topic));
                List<ConsumerRecord<String, String>> all = poll(consumer, 3000, 30_000);
                require(all.size() == 3000 && values(all).size() == 3000, all.size());
                for (var record : all) require(record.deliveryCount().get() == 1, record);
                committed(consumer);
            }
            try (var consumer = consumer(group)) {
                consumer.subscribe(List.of(topic));
                require(poll(consumer, 1, 2000).isEmpty(), "came again");
                produce(topic, 10);
                require(poll(consumer, 10, 20_000).size() == 10, "what came later");
            }
        });
        check("latest is the default", () -> {
            String topic = topic("latest", 1), group = "compat-share-latest-" + run;
            produce(topic, 5);
            try (var consumer = consumer(group)) {
                consumer.subscribe(List.of(topic));
                require(poll(consumer, 1, 3000).isEmpty(), "what came before");
                produce(topic, 7);
                require(poll(consumer, 7, 20_000).size() == 7, "what came after");
            }
        });
        check("accept, release, reject", () -> {
            String topic = topic("explicit", 1), group = group("explicit");
            produce(topic, 30);
            try (var consumer = explicit(group)) {
                consumer.subscribe(List.of(topic));
                List<ConsumerRecord<String, String>> all = poll(consumer, 30, 30_000);
                require(all.size() == 30, all.size());
                for (var record : all) {
                    int i = (int) record.offset();
                    consumer.acknowledge(record, i % 3 == 0 ? AcknowledgeType.ACCEPT : i % 3 == 1 ? AcknowledgeType.RELEASE : AcknowledgeType.REJECT);
                }
                committed(consumer);
                List<ConsumerRecord<String, String>> again = poll(consumer, 10, 20_000);
                require(again.size() == 10, again.size());
                for (var record : again) {
                    require(record.offset() % 3 == 1 && record.deliveryCount().get() == 2, record);
                    consumer.acknowledge(record);
                }
                committed(consumer);
                require(poll(consumer, 1, 1500).isEmpty(), "came a third time");
            }
        });
        check("a record that is released each time is given up", () -> {
            String topic = topic("limit", 1), group = group("limit");
            produce(topic, 1);
            try (var consumer = explicit(group)) {
                consumer.subscribe(List.of(topic));
                for (int i = 1; i <= 5; i++) {
                    List<ConsumerRecord<String, String>> got = poll(consumer, 1, 20_000);
                    require(got.size() == 1 && got.get(0).deliveryCount().get() == i, i + ": " + got);
                    consumer.acknowledge(got.get(0), AcknowledgeType.RELEASE);
                    committed(consumer);
                }
                require(poll(consumer, 1, 1500).isEmpty(), "came a sixth time");
            }
        });
        check("several consumers share a partition", () -> {
            String topic = topic("several", 1), group = group("several");
            int count = 20_000, workers = 4;
            ConcurrentHashMap<Long, Integer> seen = new ConcurrentHashMap<>();
            AtomicInteger total = new AtomicInteger();
            int[] each = new int[workers];
            ExecutorService pool = Executors.newFixedThreadPool(workers);
            CountDownLatch ready = new CountDownLatch(workers);
            List<Future<?>> running = new ArrayList<>();
            for (int w = 0; w < workers; w++) {
                int worker = w;
                running.add(pool.submit(() -> {
                    try (var consumer = consumer(group, "max.poll.records", 100)) {
                        consumer.subscribe(List.of(topic));
                        consumer.poll(Duration.ofMillis(500));
                        ready.countDown();
                        long end = System.currentTimeMillis() + 60_000;
                        while (total.get() < count && System.currentTimeMillis() < end) {
                            for (var record : consumer.poll(Duration.ofMillis(100))) {
                                seen.merge(record.offset(), 1, Integer::sum);
                                total.incrementAndGet();
                                each[worker]++;
                            }
                        }
                        committed(consumer);
                    }
                    return null;
                }));
            }
            ready.await(30, TimeUnit.SECONDS);
            produce(topic, count);
            for (Future<?> worker : running) worker.get(90, TimeUnit.SECONDS);
            pool.shutdown();
            require(seen.size() == count && total.get() == count, seen.size() + " of " + count + " records, " + total + " deliveries");
            require(Arrays.stream(each).filter(n -> n > 0).count() > 1, Arrays.toString(each));
        });
        check("what a dead consumer had goes to another at once", () -> {
            String topic = topic("dead", 1), group = group("dead");
            produce(topic, 50);
            Process other = new ProcessBuilder(
                System.getProperty("java.home") + "/bin/java", "-cp", System.getProperty("java.class.path"), "Shares", bootstrap, "take", topic, group, "50")
                .redirectErrorStream(true).start();
            String said = new String(other.getInputStream().readAllBytes());
            require(said.contains("taken 50"), said);
            other.waitFor();
            try (var consumer = consumer(group)) {
                consumer.subscribe(List.of(topic));
                // Its time is up after 30 s only.
                List<ConsumerRecord<String, String>> all = poll(consumer, 50, 15_000);
                require(all.size() == 50, all.size());
                for (var record : all) require(record.deliveryCount().get() == 1, record);
            }
        });
        check("locks end, and are renewed", () -> {
            String topic = topic("locks", 1), group = group("locks", "share.record.lock.duration.ms", "15000");
            produce(topic, 2);
            try (var slow = explicit(group); var quick = explicit(group)) {
                slow.subscribe(List.of(topic));
                List<ConsumerRecord<String, String>> mine = poll(slow, 2, 20_000);
                require(mine.size() == 2 && slow.acquisitionLockTimeoutMs().get() == 15_000, mine);
                quick.subscribe(List.of(topic));
                require(poll(quick, 1, 9000).isEmpty(), "they are not free");
                slow.acknowledge(mine.get(0), AcknowledgeType.RENEW);
                slow.acknowledge(mine.get(1), AcknowledgeType.RENEW);
                // They go with the next request for records.
                require(poll(slow, 2, 1000).size() == 2, "renewed records come with the next poll");
                require(poll(quick, 1, 9000).isEmpty(), "they were renewed");
                for (var record : mine) slow.acknowledge(record);
                committed(slow);
                require(poll(quick, 1, 2000).isEmpty(), "they were accepted");
            }
        });
        check("a late acknowledgement is refused", () -> {
            String topic = topic("late", 1), group = group("late", "share.record.lock.duration.ms", "15000");
            produce(topic, 1);
            try (var slow = explicit(group); var quick = explicit(group)) {
                slow.subscribe(List.of(topic));
                List<ConsumerRecord<String, String>> mine = poll(slow, 1, 20_000);
                require(mine.size() == 1, mine);
                quick.subscribe(List.of(topic));
                List<ConsumerRecord<String, String>> his = poll(quick, 1, 25_000);
                require(his.size() == 1, his);
                slow.acknowledge(mine.get(0));
                Collection<Optional<KafkaException>> answers = slow.commitSync().values();
                require(answers.iterator().next().get() instanceof InvalidRecordStateException, answers);
                quick.acknowledge(his.get(0));
                committed(quick);
            }
        });
        check("never more records than asked for", () -> {
            String topic = topic("strict", 1), group = group("strict");
            produce(topic, 100);
            try (var consumer = consumer(group, "share.acquire.mode", "record_limit", "max.poll.records", 7)) {
                consumer.subscribe(List.of(topic));
                Set<String> seen = new HashSet<>();
                long end = System.currentTimeMillis() + 30_000;
                while (seen.size() < 100 && System.currentTimeMillis() < end) {
                    ConsumerRecords<String, String> got = consumer.poll(Duration.ofMillis(200));
                    require(got.count() <= 7, got.count());
                    got.forEach(record -> require(seen.add(record.value()), record));
                }
                require(seen.size() == 100, seen.size());
            }
        });
        check("transactions", () -> {
            String topic = topic("transactions", 1), committed = group("committed", "share.isolation.level", "read_committed"), all = group("uncommitted");
            try (var writer = new KafkaProducer<>(
                Map.of("bootstrap.servers", bootstrap, "transactional.id", "compat-share-" + run), new StringSerializer(), new StringSerializer())) {
                writer.initTransactions();
                for (int i = 0; i < 10; i++) {
                    writer.beginTransaction();
                    for (int j = 0; j < 5; j++) writer.send(new ProducerRecord<>(topic, null, (i % 2 == 0 ? "good" : "bad") + i + "." + j));
                    writer.flush();
                    if (i % 2 == 0) writer.commitTransaction(); else writer.abortTransaction();
                }
            }
            try (var careful = consumer(committed); var careless = consumer(all)) {
                careful.subscribe(List.of(topic));
                careless.subscribe(List.of(topic));
                List<ConsumerRecord<String, String>> got = poll(careful, 25, 20_000);
                require(got.size() == 25 && values(got).stream().allMatch(v -> v.startsWith("good")), values(got));
                require(poll(careful, 1, 1000).isEmpty(), "more");
                require(poll(careless, 50, 20_000).size() == 50, "uncommitted");
            }
        });
        for (String codec : List.of("gzip", "snappy", "lz4", "zstd")) {
            check("compressed with " + codec, () -> {
                String topic = topic(codec, 1), group = group(codec);
                try (var writer = new KafkaProducer<>(
                    Map.of("bootstrap.servers", bootstrap, "compression.type", codec, "linger.ms", 50), new StringSerializer(), new StringSerializer())) {
                    for (int i = 0; i < 2000; i++) writer.send(new ProducerRecord<>(topic, "k", "value " + i));
                }
                try (var consumer = consumer(group)) {
                    consumer.subscribe(List.of(topic));
                    require(values(poll(consumer, 2000, 20_000)).size() == 2000, "not all");
                }
            });
        }
        producer.close();
        admin.close();
        System.exit(failed ? 1 : 0);
    }

    /** How fast so many records of 100 bytes are read by a share consumer, and by a consumer. */
    static void measure(int count) throws Exception {
        admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
        String topic = topic("measure", 1), group = group("measure"), value = "v".repeat(100);
        try (var writer = new KafkaProducer<>(Map.of("bootstrap.servers", bootstrap, "linger.ms", 5), new StringSerializer(), new StringSerializer())) {
            for (int i = 0; i < count; i++) writer.send(new ProducerRecord<>(topic, value));
        }
        for (int max : new int[] {500, 5000}) {
            long began = 0;
            int seen = 0;
            try (var consumer = consumer(group = group("measure-" + max), "max.poll.records", max)) {
                consumer.subscribe(List.of(topic));
                while (seen < count) {
                    seen += consumer.poll(Duration.ofMillis(1000)).count();
                    if (began == 0 && seen > 0) began = System.nanoTime();
                }
                committed(consumer);
            }
            System.out.printf("share consumer, max.poll.records %d: %.0f records/s%n", max, count / ((System.nanoTime() - began) / 1e9));
        }
        long began = 0;
        int seen = 0;
        Map<String, Object> settings = Map.of("bootstrap.servers", bootstrap, "group.id", group + "-plain", "auto.offset.reset", "earliest");
        try (var consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of(topic));
            while (seen < count) {
                seen += consumer.poll(Duration.ofMillis(1000)).count();
                if (began == 0 && seen > 0) began = System.nanoTime();
            }
        }
        System.out.printf("consumer: %.0f records/s%n", count / ((System.nanoTime() - began) / 1e9));
    }

    /** A process of its own, which dies. */
    static void apart(String[] arguments) throws Exception {
        String task = arguments[1], topic = arguments[2], group = arguments[3];
        admin = Admin.create(Map.of("bootstrap.servers", bootstrap));
        begin(group);
        int count = Integer.parseInt(arguments[4]);
        KafkaShareConsumer<String, String> consumer = explicit(group);
        consumer.subscribe(List.of(topic));
        List<ConsumerRecord<String, String>> all = poll(consumer, count, 30_000);
        if (task.equals("accept")) {
            for (var record : all) if (record.offset() % 2 == 0) consumer.acknowledge(record); else consumer.acknowledge(record, AcknowledgeType.RELEASE);
            committed(consumer);
            System.out.println("accepted " + all.size());
        } else if (task.equals("rest")) {
            for (var record : all) consumer.acknowledge(record);
            committed(consumer);
            all.addAll(poll(consumer, 1, 2000));
            StringBuilder offsets = new StringBuilder("rest");
            for (var record : all) offsets.append(' ').append(record.offset()).append('/').append(record.deliveryCount().get());
            System.out.println(offsets);
        } else {
            System.out.println("taken " + all.size());
        }
        System.out.flush();
        Runtime.getRuntime().halt(0);
    }
}
