import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.errors.InvalidRecordStateException;
import org.apache.kafka.common.serialization.*;

/**
 * A member of a share group: ShareWorker BOOTSTRAP GROUP TOPIC SECONDS. Accepts most of what it is handed, releases some of it, and now and then leaves
 * without a word on what it has. Says "accepting VALUE", and then "accepted VALUE" when that was answered, or "refused VALUE" if it was not in force;
 * without either nobody knows. "error NAME" is what else it heard.
 */
public class ShareWorker {
    static void say(String word, List<String> values) {
        StringBuilder lines = new StringBuilder();
        for (String value : values) lines.append(word).append(' ').append(value).append('\n');
        System.out.print(lines);
        System.out.flush();
    }

    public static void main(String[] arguments) throws Exception {
        Map<String, Object> settings = Map.of(
            "bootstrap.servers", arguments[0], "group.id", arguments[1], "share.acknowledgement.mode", "explicit", "reconnect.backoff.max.ms", 500,
            "default.api.timeout.ms", 10_000, "request.timeout.ms", 5_000);
        long end = System.currentTimeMillis() + Long.parseLong(arguments[3]) * 1000;
        Random random = new Random();
        while (System.currentTimeMillis() < end) {
            try (var consumer = new KafkaShareConsumer<>(settings, new StringDeserializer(), new StringDeserializer())) {
                consumer.subscribe(List.of(arguments[2]));
                while (System.currentTimeMillis() < end) {
                    var records = consumer.poll(Duration.ofMillis(500));
                    if (records.isEmpty()) continue;
                    if (random.nextInt(50) == 0) break;
                    Map<TopicPartition, List<String>> accepted = new HashMap<>();
                    for (var record : records) {
                        boolean takes = random.nextInt(20) > 0;
                        consumer.acknowledge(record, takes ? AcknowledgeType.ACCEPT : AcknowledgeType.RELEASE);
                        if (takes) accepted.computeIfAbsent(new TopicPartition(record.topic(), record.partition()), key -> new ArrayList<>()).add(record.value());
                    }
                    accepted.values().forEach(values -> say("accepting", values));
                    consumer.commitSync(Duration.ofSeconds(10)).forEach((id, error) -> {
                        List<String> values = accepted.getOrDefault(id.topicPartition(), List.of());
                        if (error.isEmpty()) say("accepted", values);
                        else say("error", List.of(error.get().getClass().getSimpleName()));
                        if (error.isPresent() && error.get() instanceof InvalidRecordStateException) say("refused", values);
                    });
                }
            } catch (KafkaException error) {
                say("error", List.of(error.getClass().getSimpleName()));
            }
        }
    }
}
