// Sends each type of header value that amqplib writes, or prints the headers of messages.
//
// NAME is a fanout exchange to send to, or a queue to receive from.
//
// usage: amqplib_values.js URL NAME send|receive

'use strict';

const { inspect } = require('util');
const amqplib = require('amqplib');

const typed = (type, value) => ({ '!': type, value });

const VALUES = {
  'boolean': true,
  'number of 8 bits': -7,
  'number of 16 bits': -700,
  'number of 32 bits': -70000,
  'number of 64 bits': -(2 ** 53),
  'number beyond 64 bits': 2 ** 63,
  'number with a fraction': -0.1,
  'string': 'Zoë',
  'empty string': '',
  'Buffer': Buffer.from('café', 'latin1'),
  'empty Buffer': Buffer.alloc(0),
  'null': null,
  'array': [1, 'a', [null], {}],
  'empty array': [],
  'object': { inner: { n: 1 } },
  'empty object': {},
  'int8': typed('int8', -128),
  'uint8': typed('uint8', 255),
  'int16': typed('int16', -32768),
  'uint16': typed('uint16', 65535),
  'int32': typed('int32', -2147483648),
  'uint32': typed('uint32', 4294967295),
  'int64': typed('int64', 9223372036854775807n),
  'float': typed('float', 1.5),
  'double': typed('double', 2),
  'decimal': typed('decimal', { places: 2, digits: 314 }),
  'timestamp': typed('timestamp', 1700000000),
  'latest timestamp': typed('timestamp', 18446744073709551615n),
};

async function send(connection, exchange) {
  const channel = await connection.createConfirmChannel();
  channel.publish(exchange, '', Buffer.alloc(0), { headers: VALUES });
  channel.publish(exchange, 'café', Buffer.from('café', 'latin1'), { correlationId: 'café' });
  let nested = {};
  for (let depth = 0; depth < 200; depth++) nested = { inner: nested };
  channel.publish(exchange, '', Buffer.from('nested'), { headers: nested });
  channel.publish(exchange, '', Buffer.from('last'));
  await channel.waitForConfirms();
  await connection.close();
}

async function receive(connection, queue) {
  const channel = await connection.createChannel();
  const show = (value) => inspect(value, { breakLength: Infinity, depth: Infinity });
  await channel.consume(queue, (message) => {
    const { headers, correlationId } = message.properties;
    for (const [name, value] of Object.entries(headers || {})) {
      console.log(`${name}: ${show(value)}`);
    }
    const { fields, content } = message;
    console.log(`${show(fields.routingKey)} ${show(correlationId)} ${show(content)}`);
    channel.ack(message);
  });
}

const [url, name, action] = process.argv.slice(2);
amqplib.connect(url).then((connection) => ({ send, receive })[action](connection, name));
