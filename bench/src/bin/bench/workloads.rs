//! The workloads of the comparison.

/// The content of the queue before the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preload {
    Nothing,
    Bodies,
    Orders,
}

/// A workload, which is the same for every peer.
#[derive(Debug, Clone)]
pub struct Workload {
    pub name: &'static str,
    pub operation: &'static str,
    pub kind: &'static str,
    pub size: usize,
    /// The largest number of messages. A slow machine runs fewer.
    pub messages: usize,
    pub threads: usize,
    pub prefetch: u16,
    pub window: usize,
    pub codec: &'static str,
    pub tls: bool,
    pub preload: Preload,
    pub quick: bool,
}

impl Workload {
    fn new(name: &'static str, operation: &'static str, kind: &'static str, messages: usize) -> Workload {
        let preload = match kind {
            "consume" => Preload::Bodies,
            "receive" => Preload::Orders,
            _ => Preload::Nothing,
        };
        let (size, threads, prefetch, window) = (100, 1, 100, 1000);
        Workload { name, operation, kind, size, messages, threads, prefetch, window, codec: "", tls: false, preload, quick: false }
    }

    fn kind(self, kind: &'static str) -> Workload {
        Workload { kind, ..self }
    }

    fn size(self, size: usize) -> Workload {
        Workload { size, ..self }
    }

    fn threads(self, threads: usize) -> Workload {
        Workload { threads, ..self }
    }

    fn prefetch(self, prefetch: u16) -> Workload {
        Workload { prefetch, ..self }
    }

    fn codec(self, codec: &'static str) -> Workload {
        Workload { codec, ..self }
    }

    fn window(self, window: usize) -> Workload {
        Workload { window, ..self }
    }

    fn tls(self) -> Workload {
        Workload { tls: true, ..self }
    }

    fn quick(self) -> Workload {
        Workload { quick: true, ..self }
    }

    fn body(&self) -> String {
        match (self.codec, self.size) {
            (_, 1_000_000..) => format!("{} MB", self.size / 1_000_000),
            (_, 1_000..) => format!("{} kB", self.size / 1_000),
            ("", _) => format!("{} B", self.size),
            (codec, _) => format!("a struct of 5 fields and 4 lines, {codec}"),
        }
    }

    /// Returns the arguments of a peer's program, without those that say where the broker is.
    pub fn arguments(&self, messages: usize) -> Vec<String> {
        vec![
            format!("work={}", self.kind),
            format!("messages={messages}"),
            format!("size={}", self.size),
            format!("threads={}", self.threads),
            format!("prefetch={}", self.prefetch),
            format!("window={}", self.window),
            format!("codec={}", self.codec),
        ]
    }

    /// Returns a description with all parameters that differ between workloads.
    pub fn title(&self) -> String {
        let mut parts = vec![self.operation.to_string(), self.body()];
        match self.kind {
            "publish" => parts.push("transient, no confirms".into()),
            "window-observed" => parts.push(format!("persistent, confirms, window {}, metrics and trace context", self.window)),
            "window-header" => parts.push(format!("persistent, confirms, window {}, the header traceparent by hand", self.window)),
            "handle" => parts.push(format!("prefetch {}, {} worker(s)", self.prefetch, self.threads)),
            "handle-observed" => parts.push(format!("prefetch {}, {} worker(s), metrics and trace context", self.prefetch, self.threads)),
            "memory-handle" => parts.push("persistent, confirms".into()),
            "memory-handle-observed" => parts.push("persistent, confirms, metrics and trace context".into()),
            "window" | "send" => parts.push(format!("persistent, confirms, window {}", self.window)),
            "each" => parts.push(format!("persistent, confirms, {} thread(s)", self.threads)),
            "full-window" => parts.push(format!("persistent, confirms, {} threads, window {}", self.threads, self.window)),
            "consume" => parts.push(format!("transient, prefetch {}, {} worker(s)", self.prefetch, self.threads)),
            "receive" => parts.push(format!("prefetch {}, {} worker(s)", self.prefetch, self.threads)),
            "ping-pong" => parts.push("transient, no confirms, no acknowledgement".into()),
            "connect" => return self.operation.to_string(),
            "idle" => parts.push("one message stands for one second".into()),
            "memory-pairs" => parts.push(format!("transient, no confirms, {0} senders and {0} workers", self.threads)),
            _ => parts.push(format!("transient, no confirms, {} thread(s)", self.threads)),
        }
        if self.tls {
            parts.push("TLS".into());
        }
        parts.join(", ")
    }
}

/// Returns the workloads of the comparison on ActiveMQ. A consumer of Carrot has at most 256
/// messages there.
pub fn on_activemq() -> Vec<Workload> {
    let consume = |name, messages| Workload::new(name, "consume, acknowledge each", "consume", messages);
    vec![
        Workload::new("each-1", "publish, wait for each confirm", "each", 5_000),
        Workload::new("window-8", "publish", "window", 20_000).window(8),
        Workload::new("window-100", "publish", "window", 20_000),
        consume("consume-1", 20_000).prefetch(1),
        consume("consume-32", 40_000).prefetch(32),
        consume("consume-256", 40_000).prefetch(256),
    ]
}

/// Returns all workloads, in the order of the table.
pub fn all() -> Vec<Workload> {
    let publish = |name, messages| Workload::new(name, "publish", "publish", messages);
    let each = |name, messages| Workload::new(name, "publish, wait for each confirm", "each", messages);
    let consume = |name, messages| Workload::new(name, "consume, acknowledge each", "consume", messages);
    let send = |name, codec| Workload::new(name, "encode and publish", "send", 30_000).codec(codec);
    let receive = |name, codec| Workload::new(name, "consume, decode, acknowledge each", "receive", 50_000).codec(codec);
    let memory = |name| Workload::new(name, "memory broker: publish, consume, acknowledge", "memory", 2_000_000);
    let handle = |name, kind| Workload::new(name, "decode, handle, acknowledge each", kind, 50_000).codec("json");
    let memory_handle = |name, kind| Workload::new(name, "memory broker: encode, publish, decode, handle", kind, 500_000).codec("json");
    vec![
        publish("publish-100", 100_000).quick(),
        publish("publish-10k", 30_000).size(10_000),
        publish("publish-1M", 1_500).size(1_000_000).quick(),
        Workload::new("window-100", "publish", "window", 50_000).quick(),
        Workload::new("window-10k", "publish", "window", 20_000).size(10_000),
        Workload::new("window-8", "publish", "window", 20_000).window(8),
        each("each-1", 5_000).quick(),
        each("each-2", 10_000).threads(2),
        each("each-8", 20_000).threads(8).quick(),
        each("each-32", 40_000).threads(32),
        each("full-window", 5_000).threads(8).window(1).kind("full-window"),
        consume("consume-1", 10_000).prefetch(1).quick(),
        consume("consume-10", 40_000).prefetch(10),
        consume("consume-100", 60_000).prefetch(100),
        consume("consume-1000", 80_000).prefetch(1000).quick(),
        consume("consume-1x4", 10_000).prefetch(1).threads(4),
        consume("consume-10x4", 40_000).prefetch(10).threads(4),
        consume("consume-100x4", 60_000).prefetch(100).threads(4),
        consume("consume-1000x4", 80_000).prefetch(1000).threads(4),
        consume("consume-10k", 30_000).size(10_000),
        consume("consume-1M", 1_500).size(1_000_000).prefetch(10),
        Workload::new("ping-pong", "publish and get it back", "ping-pong", 15_000).quick(),
        publish("tls-publish", 100_000).tls(),
        consume("tls-consume", 60_000).tls(),
        Workload::new("tls-ping-pong", "publish and get it back", "ping-pong", 15_000).tls(),
        send("json-send", "json"),
        send("bincode-send", "bincode"),
        receive("json-receive", "json"),
        receive("bincode-receive", "bincode"),
        Workload::new("window-observed", "publish", "window-observed", 50_000),
        Workload::new("window-header", "publish", "window-header", 50_000),
        handle("handle", "handle"),
        handle("handle-observed", "handle-observed"),
        memory_handle("memory-handle", "memory-handle"),
        memory_handle("memory-handle-observed", "memory-handle-observed"),
        memory("memory-1").quick(),
        memory("memory-4x4").threads(4).kind("memory-pairs").quick(),
        Workload::new("connect", "connect, declare a queue, close; one message stands for one connection", "connect", 500),
        Workload::new("idle", "wait for messages that do not come", "idle", 5),
    ]
}
