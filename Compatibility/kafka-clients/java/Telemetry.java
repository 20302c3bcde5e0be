import java.net.URI;
import java.net.http.*;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.*;

/** The Java client reports its metrics (KIP-714): Telemetry BOOTSTRAP, with MARTLET_SERVER the address of the page that shows them. */
public class Telemetry {
    static final HttpClient http = HttpClient.newHttpClient();

    static String page() throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(System.getenv("MARTLET_SERVER") + "/metrics")).timeout(Duration.ofSeconds(20)).build();
        return http.send(request, HttpResponse.BodyHandlers.ofString()).body();
    }

    interface Step { void run() throws Exception; }

    /** Does the step again and again until the page has a sample of this family with all these labels; its number. */
    static double shown(String family, List<String> labels, Step step) throws Exception {
        long end = System.currentTimeMillis() + 60_000;
        String page = "";
        while (System.currentTimeMillis() < end) {
            step.run();
            page = page();
            for (String line : page.split("\n"))
                if (line.startsWith(family + "{") && labels.stream().allMatch(line::contains)) return Double.parseDouble(line.substring(line.lastIndexOf(' ') + 1));
        }
        throw new AssertionError("no " + family + " of " + labels + ", but\n" + String.join("\n", Arrays.stream(page.split("\n")).filter(l -> l.startsWith("kafka_client")).limit(50).toList()));
    }

    public static void main(String[] arguments) throws Exception {
        String run = "compat-java-telemetry-" + Long.toHexString(System.nanoTime());
        Map<String, Object> settings = new HashMap<>(Map.of("bootstrap.servers", arguments[0], "client.id", run));
        ConfigResource wanted = new ConfigResource(ConfigResource.Type.CLIENT_METRICS, run);
        try (Admin admin = Admin.create(settings)) {
            admin.createTopics(List.of(new NewTopic(run, 1, (short) 1))).all().get(30, TimeUnit.SECONDS);
            admin.incrementalAlterConfigs(Map.of(wanted, List.of(
                new AlterConfigOp(new ConfigEntry("metrics", "org.apache.kafka.producer.,org.apache.kafka.consumer."), AlterConfigOp.OpType.SET),
                new AlterConfigOp(new ConfigEntry("interval.ms", "500"), AlterConfigOp.OpType.SET),
                new AlterConfigOp(new ConfigEntry("match", "client_id=" + run + ",client_software_name=apache-kafka-java"), AlterConfigOp.OpType.SET)))).all().get(30, TimeUnit.SECONDS);
            for (int round = 0; round < 2; round++) {
                try (KafkaProducer<String, String> producer = new KafkaProducer<>(settings, new StringSerializer(), new StringSerializer());
                     KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
                    consumer.assign(List.of(new org.apache.kafka.common.TopicPartition(run, 0)));
                    consumer.seekToBeginning(consumer.assignment());
                    Uuid id = producer.clientInstanceId(Duration.ofSeconds(30)), reader = null;
                    // A consumer speaks to the broker while it is polled.
                    for (int i = 0; i < 300 && reader == null; i++) {
                        consumer.poll(Duration.ofMillis(100));
                        reader = consumer.clientInstanceId(Duration.ZERO);
                    }
                    if (id.equals(Uuid.ZERO_UUID) || reader == null || id.equals(reader)) throw new AssertionError(id + " " + reader);
                    List<String> labels = List.of("client_id=\"" + run + "\"", "client_instance_id=\"" + id + "\"", "client_software_name=\"apache-kafka-java\"");
                    double first = shown("kafka_client_org_apache_kafka_producer_record_send_total", labels,
                        () -> producer.send(new ProducerRecord<>(run, "v")).get(30, TimeUnit.SECONDS));
                    if (first < 0) throw new AssertionError(first);
                    long end = System.currentTimeMillis() + 60_000;
                    while (shown("kafka_client_org_apache_kafka_producer_record_send_total", labels,
                        () -> producer.send(new ProducerRecord<>(run, "v")).get(30, TimeUnit.SECONDS)) <= first)
                        if (System.currentTimeMillis() > end) throw new AssertionError("stays " + first);
                    shown("kafka_client_org_apache_kafka_consumer_fetch_manager_records_consumed_total", List.of("client_instance_id=\"" + reader + "\""),
                        () -> consumer.poll(Duration.ofMillis(100)));
                }
            }
            admin.incrementalAlterConfigs(Map.of(wanted, List.of(
                new AlterConfigOp(new ConfigEntry("metrics", ""), AlterConfigOp.OpType.DELETE), new AlterConfigOp(new ConfigEntry("interval.ms", ""), AlterConfigOp.OpType.DELETE),
                new AlterConfigOp(new ConfigEntry("match", ""), AlterConfigOp.OpType.DELETE)))).all().get(30, TimeUnit.SECONDS);
            admin.deleteTopics(List.of(run)).all().get(30, TimeUnit.SECONDS);
        }
        System.out.println("ok");
        System.exit(0);
    }
}
