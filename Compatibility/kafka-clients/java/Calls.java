import java.util.concurrent.*;
import org.apache.kafka.common.KafkaFuture;

/** Calls of a client one after the other: each does what it should or is refused as it should, and is told of in a line. */
abstract class Calls {
    interface Call { Object run() throws Exception; }

    interface Step { void run() throws Exception; }

    static boolean failed = false;

    static <T> T get(KafkaFuture<T> future) throws Exception {
        try {
            return future.get(30, TimeUnit.SECONDS);
        } catch (ExecutionException error) {
            throw error.getCause() instanceof Exception cause ? cause : error;
        }
    }

    static void require(boolean condition, Object what) {
        if (!condition) throw new AssertionError(what);
    }

    static void check(String name, Step step) {
        try {
            step.run();
            System.out.println("ok " + name);
        } catch (Throwable error) {
            failed = true;
            System.out.println("failed " + name + ": " + error);
            error.printStackTrace(System.out);
        }
    }

    static void check(String name, Call call) { check(name, (Step) call::run); }

    /** The call is refused with this error. */
    static void refused(String name, Class<? extends Throwable> expected, Step step) {
        check(name, () -> {
            try {
                step.run();
            } catch (Throwable error) {
                require(expected.isInstance(error), error);
                return;
            }
            throw new AssertionError("not refused");
        });
    }

    static void refused(String name, Class<? extends Throwable> expected, Call call) { refused(name, expected, (Step) call::run); }
}
