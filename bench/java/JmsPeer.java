// ActiveMQ's own client for Java, one thread. Parses name=value arguments and prints one line of
// JSON, like the other peers. CARROT_TEST_ACTIVEMQ_URL names the broker.
//
// Before the measurement, the same work runs on another queue for some seconds, so that the virtual
// machine has loaded and compiled the client.

import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Semaphore;
import javax.jms.BytesMessage;
import javax.jms.DeliveryMode;
import javax.jms.JMSException;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.Session;
import org.apache.activemq.ActiveMQConnection;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.activemq.ActiveMQMessageProducer;
import org.apache.activemq.ActiveMQSession;
import org.apache.activemq.AsyncCallback;
import org.apache.activemq.command.ActiveMQQueue;

public final class JmsPeer {
    private static final long WARM_UP_NANOS = 5_000_000_000L;
    private static final int WARM_UP_BATCH = 2_000; // messages
    private static final long LONG_MILLIS = 60_000;
    private static final double TICKS_PER_SECOND = 100; // of /proc

    private final Map<String, String> job = new HashMap<>();
    private final ActiveMQConnection connection;
    private final Session session;
    private final byte[] body;

    private JmsPeer(String[] arguments) throws Exception {
        for (String argument : arguments) {
            String[] parts = argument.split("=", 2);
            job.put(parts[0], parts[1]);
        }
        URI url = new URI(System.getenv("CARROT_TEST_ACTIVEMQ_URL"));
        String[] login = url.getUserInfo().split(":", 2);
        String address = "tcp://" + url.getHost() + ":" + url.getPort();
        connection = (ActiveMQConnection) new ActiveMQConnectionFactory(login[0], login[1], address).createConnection();
        connection.getPrefetchPolicy().setQueuePrefetch(number("prefetch"));
        connection.start();
        session = connection.createSession(false, ActiveMQSession.INDIVIDUAL_ACKNOWLEDGE);
        body = new byte[number("size")];
        Arrays.fill(body, (byte) 'x');
    }

    public static void main(String[] arguments) throws Exception {
        JmsPeer peer = new JmsPeer(arguments);
        if (peer.number("threads") > 1 || !List.of("each", "window", "consume").contains(peer.job.get("work"))) {
            System.out.println("{\"unsupported\":true}");
            System.exit(0);
        }
        peer.warmUp();
        System.gc();
        Meter meter = new Meter();
        double[] latencies = peer.work(peer.job.get("queue"), peer.number("messages"));
        String line = meter.finish(peer.number("messages"), latencies);
        // The next run deletes the queue, which needs the end of its consumers.
        peer.connection.close();
        System.out.println(line);
        System.exit(0);
    }

    private int number(String name) {
        return Integer.parseInt(job.getOrDefault(name, "0"));
    }

    private void warmUp() throws Exception {
        String queue = job.get("queue") + ".warm-up";
        long end = System.nanoTime() + WARM_UP_NANOS;
        while (System.nanoTime() < end) {
            if (job.get("work").equals("consume")) {
                window(queue, WARM_UP_BATCH, DeliveryMode.NON_PERSISTENT, 1000);
            }
            work(queue, job.get("work").equals("each") ? WARM_UP_BATCH / 10 : WARM_UP_BATCH);
        }
        connection.destroyDestination(new ActiveMQQueue(queue));
    }

    // Returns the time of each message, in seconds, or null.
    private double[] work(String queue, int messages) throws Exception {
        switch (job.get("work")) {
            case "each": return each(queue, messages);
            case "window": window(queue, messages, DeliveryMode.PERSISTENT, number("window")); return null;
            default: consume(queue, messages); return null;
        }
    }

    private ActiveMQMessageProducer producer(String queue, int mode) throws JMSException {
        ActiveMQMessageProducer producer = (ActiveMQMessageProducer) session.createProducer(session.createQueue(queue));
        producer.setDeliveryMode(mode);
        return producer;
    }

    private BytesMessage message() throws JMSException {
        BytesMessage message = session.createBytesMessage();
        message.writeBytes(body);
        return message;
    }

    private double[] each(String queue, int messages) throws JMSException {
        ActiveMQMessageProducer producer = producer(queue, DeliveryMode.PERSISTENT);
        double[] latencies = new double[messages];
        for (int sent = 0; sent < messages; sent++) {
            long since = System.nanoTime();
            producer.send(message());
            latencies[sent] = (System.nanoTime() - since) / 1e9;
        }
        producer.close();
        return latencies;
    }

    // Each message has its receipt, and at most size of them are not received.
    private void window(String queue, int messages, int mode, int size) throws Exception {
        ActiveMQMessageProducer producer = producer(queue, mode);
        Semaphore free = new Semaphore(size);
        AsyncCallback receipt = new AsyncCallback() {
            @Override
            public void onSuccess() {
                free.release();
            }

            @Override
            public void onException(JMSException error) {
                error.printStackTrace();
                System.exit(1);
            }
        };
        for (int sent = 0; sent < messages; sent++) {
            free.acquire();
            producer.send(message(), receipt);
        }
        free.acquire(size);
        producer.close();
    }

    private void consume(String queue, int messages) throws JMSException {
        MessageConsumer consumer = session.createConsumer(session.createQueue(queue));
        for (int taken = 0; taken < messages; taken++) {
            Message message = consumer.receive(LONG_MILLIS);
            if (message == null) {
                throw new IllegalStateException("the queue contains too few messages");
            }
            message.acknowledge();
        }
        consumer.close();
    }

    private static final class Meter {
        private final double[] before = processorSeconds();
        private final long started = System.nanoTime();

        Meter() throws IOException {}

        String finish(int messages, double[] latencies) throws IOException {
            double took = (System.nanoTime() - started) / 1e9;
            double[] after = processorSeconds();
            String line = String.format("{\"messages\":%d,\"seconds\":%.6f,\"cpu_user\":%.2f,\"cpu_sys\":%.2f,\"rss_kb\":%s,\"threads\":%s",
                    messages, took, after[0] - before[0], after[1] - before[1], status("VmHWM:"), status("Threads:"));
            if (latencies != null) {
                Arrays.sort(latencies);
                line += String.format(",\"p50_us\":%.1f,\"p99_us\":%.1f", percentile(latencies, 50), percentile(latencies, 99));
            }
            return line + "}";
        }

        private static double percentile(double[] sorted, int percent) {
            return sorted[(sorted.length - 1) * percent / 100] * 1e6;
        }

        // Returns the time in the program and in the kernel, of all threads of the virtual machine.
        private static double[] processorSeconds() throws IOException {
            String stat = Files.readString(Path.of("/proc/self/stat"));
            String[] fields = stat.substring(stat.lastIndexOf(')') + 2).split(" ");
            return new double[] {Long.parseLong(fields[11]) / TICKS_PER_SECOND, Long.parseLong(fields[12]) / TICKS_PER_SECOND};
        }

        private static String status(String name) throws IOException {
            for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
                if (line.startsWith(name)) {
                    return line.replaceAll("[^0-9]", "");
                }
            }
            return "0";
        }
    }
}
