import java.io.*;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.util.*;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.message.ApiMessageType.ListenerType;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.protocol.*;
import org.apache.kafka.common.protocol.types.*;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.utils.ByteUtils;

/**
 * Every request that the Java client's own tables have for a broker, in every version, against a broker: Protocol BOOTSTRAP. Ends with 0 when each is
 * spoken, or has its reason below, and when each answer is what the client's schema says, to the last byte.
 *
 * Requests are filled at random with what does no harm: names that nothing has, small numbers. SEED=n repeats a run.
 */
public class Protocol {
    /** What brokers and controllers say to each other: there is one node. */
    static final Map<ApiKeys, String> NOT_SPOKEN = new EnumMap<>(Map.of(
        ApiKeys.INITIALIZE_SHARE_GROUP_STATE, "a share group's coordinator to those who keep its state",
        ApiKeys.READ_SHARE_GROUP_STATE, "a partition's leader to those who keep the state of its share groups",
        ApiKeys.WRITE_SHARE_GROUP_STATE, "a partition's leader to those who keep the state of its share groups",
        ApiKeys.DELETE_SHARE_GROUP_STATE, "a share group's coordinator to those who keep its state",
        ApiKeys.READ_SHARE_GROUP_STATE_SUMMARY, "a share group's coordinator to those who keep its state"));

    /** Not tried filled at random: they belong to the connection's beginning, and end it. */
    static final Set<ApiKeys> OF_CONNECTIONS = EnumSet.of(ApiKeys.SASL_HANDSHAKE, ApiKeys.SASL_AUTHENTICATE);

    /** Structures that may be null: a byte says whether they are there, which the client's schemas leave out (its generated code does not). */
    static final Set<String> NULLABLE_STRUCTURES = Set.of("cursor", "topology", "user_endpoint");
    static final Object NULL_STRUCTURE = new Object();

    static boolean failed = false;
    static Random random;
    static int number = 0;

    static void fail(String what) {
        failed = true;
        System.out.println("failed " + what);
    }

    static class Connection implements AutoCloseable {
        final Socket socket;
        final DataInputStream in;

        Connection(String bootstrap) throws IOException {
            int colon = bootstrap.lastIndexOf(':');
            socket = new Socket(bootstrap.substring(0, colon), Integer.parseInt(bootstrap.substring(colon + 1)));
            socket.setSoTimeout(20_000);
            socket.setTcpNoDelay(true);
            in = new DataInputStream(socket.getInputStream());
        }

        /** The answer's body. */
        ByteBuffer send(ApiKeys api, short version, Struct body) throws IOException {
            int mine = ++number;
            RequestHeaderData header = new RequestHeaderData()
                .setRequestApiKey(api.id).setRequestApiVersion(version).setCorrelationId(mine).setClientId("protocol");
            ByteBuffer head = MessageUtil.toByteBufferAccessor(header, api.requestHeaderVersion(version)).buffer();
            ByteBuffer frame = ByteBuffer.allocate(1 << 20).putInt(0).put(head);
            write("", body.schema(), body, frame);
            frame.putInt(0, frame.position() - 4);
            socket.getOutputStream().write(frame.array(), 0, frame.position());
            byte[] answer = new byte[in.readInt()];
            in.readFully(answer);
            ByteBuffer read = ByteBuffer.wrap(answer);
            if (read.getInt() != mine) throw new IOException("another request's answer");
            if (api.responseHeaderVersion(version) >= 1 && read.get() != 0) throw new IOException("tags in the answer's header");
            return read;
        }

        public void close() throws IOException { socket.close(); }
    }

    static void write(String name, Type type, Object value, ByteBuffer out) {
        if (type instanceof Schema) {
            if (NULLABLE_STRUCTURES.contains(name)) out.put((byte) (value == NULL_STRUCTURE ? -1 : 1));
            if (value == NULL_STRUCTURE) return;
            for (BoundField field : ((Schema) type).fields()) write(field.def.name, field.def.type, ((Struct) value).get(field), out);
        } else if (type.isArray()) {
            int count = value == null ? -1 : ((Object[]) value).length;
            if (type instanceof CompactArrayOf) ByteUtils.writeUnsignedVarint(count + 1, out); else out.putInt(count);
            for (int i = 0; i < count; i++) write("", type.arrayElementType().get(), ((Object[]) value)[i], out);
        } else {
            type.write(out, value);
        }
    }

    static Struct filled(Schema schema, ApiKeys api) {
        Struct struct = new Struct(schema);
        for (BoundField field : schema.fields()) struct.set(field, value(field.def.name, field.def.type, api));
        return struct;
    }

    static Object value(String name, Type type, ApiKeys api) {
        if (type instanceof TaggedFields) {
            NavigableMap<Integer, Object> tags = new TreeMap<>();
            for (Map.Entry<Integer, Field> tag : ((TaggedFields) type).fields().entrySet())
                if (random.nextBoolean()) tags.put(tag.getKey(), value(tag.getValue().name, tag.getValue().type, api));
            // One that nobody knows.
            if (random.nextInt(4) == 0) tags.put(1000, new RawTaggedField(1000, new byte[] {1, 2, 3}));
            return tags;
        }
        // A Produce without acks has no answer.
        if (name.equals("acks")) return (short) (random.nextBoolean() ? 1 : -1);
        // Nobody is to wait for long.
        if (name.equals("max_wait_ms")) return random.nextInt(20);
        if (type instanceof Schema && NULLABLE_STRUCTURES.contains(name) && random.nextInt(4) == 0) return NULL_STRUCTURE;
        if (type.isNullable() && random.nextInt(4) == 0) return null;
        if (type.isArray()) {
            Object[] elements = new Object[random.nextInt(3)];
            for (int i = 0; i < elements.length; i++) elements[i] = value(name, type.arrayElementType().get(), api);
            return elements;
        }
        if (type instanceof Schema) return filled((Schema) type, api);
        if (type == Type.BOOLEAN) return random.nextBoolean();
        if (type == Type.INT8) return (byte) (random.nextInt(6) - 1);
        if (type == Type.INT16) return (short) (random.nextInt(6) - 1);
        if (type == Type.UINT16) return random.nextInt(65536);
        if (type == Type.INT32) return random.nextInt(6) - 1;
        if (type == Type.UNSIGNED_INT32) return (long) random.nextInt(6);
        if (type == Type.INT64) return (long) random.nextInt(6) - 1;
        if (type == Type.FLOAT64) return random.nextDouble();
        if (type == Type.UUID) return random.nextInt(4) == 0 ? Uuid.ZERO_UUID : Uuid.randomUuid();
        if (type == Type.RECORDS || type == Type.COMPACT_RECORDS) return random.nextBoolean() ? MemoryRecords.EMPTY : null;
        if (type == Type.BYTES || type == Type.COMPACT_BYTES || type == Type.NULLABLE_BYTES || type == Type.COMPACT_NULLABLE_BYTES) {
            byte[] bytes = new byte[random.nextInt(9)];
            random.nextBytes(bytes);
            return ByteBuffer.wrap(bytes);
        }
        if (type == Type.STRING || type == Type.COMPACT_STRING || type == Type.NULLABLE_STRING || type == Type.COMPACT_NULLABLE_STRING)
            return "/no such thing/" + random.nextInt(1000);
        throw new IllegalArgumentException("no value for " + name + " " + type);
    }

    static void subscribe(String bootstrap, AlterConfigOp.OpType operation) throws Exception {
        ConfigResource subscription = new ConfigResource(ConfigResource.Type.CLIENT_METRICS, "compat-java-protocol");
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", bootstrap))) {
            admin.incrementalAlterConfigs(Map.of(subscription, List.of(new AlterConfigOp(new ConfigEntry("metrics", "no.such.metric"), operation))))
                .all().get(30, TimeUnit.SECONDS);
        }
    }

    public static void main(String[] arguments) throws Exception {
        String given = System.getenv("SEED");
        long seed = given == null ? System.nanoTime() : Long.parseLong(given);
        random = new Random(seed);
        System.out.println("SEED=" + seed);
        Map<Short, short[]> spoken = new TreeMap<>();
        // Without a subscription clients are not told that they could report their metrics.
        subscribe(arguments[0], AlterConfigOp.OpType.SET);
        try (Connection connection = new Connection(arguments[0])) {
            Schema[] requests = ApiKeys.API_VERSIONS.messageType.requestSchemas(), answers = ApiKeys.API_VERSIONS.messageType.responseSchemas();
            Struct answer = answers[0].read(connection.send(ApiKeys.API_VERSIONS, (short) 0, new Struct(requests[0])));
            for (Object one : answer.getArray("api_keys")) {
                Struct range = (Struct) one;
                spoken.put(range.getShort("api_key"), new short[] {range.getShort("min_version"), range.getShort("max_version")});
            }
        }
        int tried = 0;
        for (ApiKeys api : ApiKeys.values()) {
            if (!api.inScope(ListenerType.BROKER) || !api.hasValidVersion()) continue;
            short[] ours = spoken.remove(api.id);
            if (ours == null) {
                if (!NOT_SPOKEN.containsKey(api)) fail(api + " is not spoken");
                continue;
            }
            if (NOT_SPOKEN.containsKey(api)) fail(api + " is spoken: its reason not to be is stale");
            short newest = api.latestVersion(false);
            if (ours[1] != newest) fail(api + " is spoken up to version " + ours[1] + ", the newest that is stable is " + newest);
            if (ours[0] > api.oldestVersion()) fail(api + " is spoken from version " + ours[0] + " on, the client has " + api.oldestVersion());
            if (OF_CONNECTIONS.contains(api)) continue;
            for (short version = (short) Math.max(ours[0], api.oldestVersion()); version <= Math.min(ours[1], newest); version++) {
                for (int round = 0; round < 5; round++) {
                    Struct request = filled(api.messageType.requestSchemas()[version], api);
                    try (Connection connection = new Connection(arguments[0])) {
                        ByteBuffer answer = connection.send(api, version, request);
                        ApiMessage read = api.messageType.newResponse();
                        read.read(new ByteBufferAccessor(answer), version);
                        if (answer.hasRemaining()) fail(api + " " + version + ": " + answer.remaining() + " bytes are left after " + read);
                        tried++;
                    } catch (Exception error) {
                        fail(api + " " + version + ": " + error + " for " + request);
                    }
                }
            }
        }
        for (short other : spoken.keySet()) fail("API " + other + " is spoken, and the client has none such for brokers");
        subscribe(arguments[0], AlterConfigOp.OpType.DELETE);
        System.out.println(tried + " requests were answered");
        System.exit(failed ? 1 : 0);
    }
}
