// Sends or receives JMS messages with the client that ActiveMQ has.
//
// usage: JmsClient URL send QUEUE      sends one message of each kind
//        JmsClient URL receive QUEUE   prints what each message has, and acknowledges it
//        JmsClient URL answer QUEUE    answers each request with its text in capitals
//        JmsClient URL ask QUEUE       sends a request, and prints the answer
//
// The password of the URL is in the environment variable JMS_PASSWORD, if the URL has none.

import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Enumeration;
import java.util.List;
import javax.jms.BytesMessage;
import javax.jms.Connection;
import javax.jms.DeliveryMode;
import javax.jms.Destination;
import javax.jms.JMSException;
import javax.jms.MapMessage;
import javax.jms.Message;
import javax.jms.MessageConsumer;
import javax.jms.MessageProducer;
import javax.jms.Queue;
import javax.jms.Session;
import javax.jms.TextMessage;
import org.apache.activemq.ActiveMQConnectionFactory;

public final class JmsClient {
    private static final long SOON = 30_000; // milliseconds

    private final Session session;

    private JmsClient(Session session) {
        this.session = session;
    }

    public static void main(String[] arguments) throws Exception {
        Connection connection = connect(new URI(arguments[0]));
        connection.start();
        JmsClient client =
                new JmsClient(connection.createSession(false, Session.CLIENT_ACKNOWLEDGE));
        String queue = arguments[2];
        switch (arguments[1]) {
            case "send": client.send(queue); break;
            case "receive": client.receive(queue); break;
            case "answer": client.answer(queue); break;
            case "ask": client.ask(queue); break;
            default: throw new IllegalArgumentException(arguments[1]);
        }
        connection.close();
    }

    private static Connection connect(URI url) throws JMSException {
        String[] login = url.getUserInfo().split(":", 2);
        String password = login.length > 1 ? login[1] : System.getenv("JMS_PASSWORD");
        String address = "tcp://" + url.getHost() + ":" + url.getPort();
        return new ActiveMQConnectionFactory(login[0], password, address).createConnection();
    }

    private void send(String queue) throws JMSException {
        MessageProducer producer = session.createProducer(session.createQueue(queue));
        TextMessage text = session.createTextMessage("text: café, 日本, \0, 😀");
        text.setJMSType("greeting");
        text.setJMSCorrelationID("correlation-7");
        text.setJMSReplyTo(session.createQueue("answers.here"));
        text.setBooleanProperty("boolean", true);
        text.setByteProperty("byte", (byte) -7);
        text.setShortProperty("short", (short) -700);
        text.setIntProperty("int", -70_000);
        text.setLongProperty("long", Long.MIN_VALUE);
        text.setFloatProperty("float", 1.5f);
        text.setDoubleProperty("double", -0.1);
        text.setStringProperty("string", "Zoë, \0, 😀");
        producer.send(text, DeliveryMode.PERSISTENT, 7, 3_600_000);
        BytesMessage bytes = session.createBytesMessage();
        bytes.writeBytes(new byte[] {0, (byte) 0xff, 1, (byte) 0x80});
        producer.send(bytes, DeliveryMode.NON_PERSISTENT, 4, 0);
        producer.send(session.createTextMessage(""));
        producer.send(session.createTextMessage());
        producer.send(session.createMessage());
        MapMessage map = session.createMapMessage();
        map.setInt("n", 1);
        producer.send(map);
        System.out.println("sent");
    }

    private void receive(String queue) throws JMSException {
        MessageConsumer consumer = session.createConsumer(session.createQueue(queue));
        System.out.println("ready");
        for (Message message; (message = consumer.receive(SOON)) != null; ) {
            print(message);
            message.acknowledge();
        }
    }

    private static void print(Message message) throws JMSException {
        System.out.println("body: " + body(message));
        System.out.println("mode: " + message.getJMSDeliveryMode());
        System.out.println("priority: " + message.getJMSPriority());
        System.out.println("type: " + message.getJMSType());
        System.out.println("correlation: " + message.getJMSCorrelationID());
        System.out.println("reply to: " + message.getJMSReplyTo());
        System.out.println("expires: " + (message.getJMSExpiration() != 0));
        System.out.println("redelivered: " + message.getJMSRedelivered());
        List<String> names = new ArrayList<>();
        Enumeration<?> all = message.getPropertyNames();
        while (all.hasMoreElements()) {
            names.add((String) all.nextElement());
        }
        Collections.sort(names);
        for (String name : names) {
            Object value = message.getObjectProperty(name);
            String type = value == null ? "null" : value.getClass().getSimpleName();
            String shown = value instanceof byte[] ? "" : " " + value;
            System.out.println("property: " + name + ": " + type + shown);
        }
        System.out.println("end");
    }

    private static String body(Message message) throws JMSException {
        if (message instanceof TextMessage) {
            return "text " + ((TextMessage) message).getText();
        }
        if (message instanceof BytesMessage) {
            return "bytes " + hexadecimal(octets((BytesMessage) message));
        }
        return message.getClass().getSimpleName();
    }

    private static byte[] octets(BytesMessage message) throws JMSException {
        byte[] octets = new byte[(int) message.getBodyLength()];
        message.readBytes(octets);
        return octets;
    }

    private static String hexadecimal(byte[] octets) {
        StringBuilder text = new StringBuilder();
        for (byte octet : octets) {
            text.append(String.format("%02x", octet));
        }
        return text.toString();
    }

    private void answer(String queue) throws JMSException {
        MessageConsumer consumer = session.createConsumer(session.createQueue(queue));
        MessageProducer producer = session.createProducer(null);
        System.out.println("ready");
        for (Message request; (request = consumer.receive(SOON)) != null; ) {
            Message answer = session.createTextMessage(text(request).toUpperCase());
            answer.setJMSCorrelationID(request.getJMSCorrelationID());
            answer.setStringProperty("content_type", request.getStringProperty("content_type"));
            producer.send(request.getJMSReplyTo(), answer);
            request.acknowledge();
        }
    }

    private void ask(String queue) throws JMSException {
        Destination answers = session.createTemporaryQueue();
        MessageConsumer consumer = session.createConsumer(answers);
        Queue requests = session.createQueue(queue);
        TextMessage request = session.createTextMessage("\"word\"");
        request.setJMSReplyTo(answers);
        request.setJMSCorrelationID("request-1");
        session.createProducer(requests).send(request);
        Message answer = consumer.receive(SOON);
        answer.acknowledge();
        System.out.println(answer.getJMSCorrelationID() + ": " + text(answer));
    }

    private static String text(Message message) throws JMSException {
        if (message instanceof TextMessage) {
            return ((TextMessage) message).getText();
        }
        return new String(octets((BytesMessage) message), StandardCharsets.UTF_8);
    }
}
