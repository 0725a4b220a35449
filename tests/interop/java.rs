//! JMS, the interface of ActiveMQ for Java. `./scripts/java` compiles the client.

mod activemq;
