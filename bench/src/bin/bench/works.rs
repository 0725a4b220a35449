//! The works that are compared.

/// What is in the queue before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    Nothing,
    Bodies,
    Orders,
}

/// One work, as every peer is asked to do it.
#[derive(Debug, Clone)]
pub struct Work {
    pub name: &'static str,
    pub what: &'static str,
    pub kind: &'static str,
    pub size: usize,
    /// At most; fewer on a slow machine.
    pub messages: usize,
    pub threads: usize,
    pub prefetch: u16,
    pub window: usize,
    pub codec: &'static str,
    pub tls: bool,
    pub fill: Fill,
    pub quick: bool,
}

impl Work {
    fn new(name: &'static str, what: &'static str, kind: &'static str, messages: usize) -> Work {
        let fill = match kind {
            "consume" => Fill::Bodies,
            "receive" => Fill::Orders,
            _ => Fill::Nothing,
        };
        let (size, threads, prefetch, window) = (100, 1, 100, 1000);
        Work { name, what, kind, size, messages, threads, prefetch, window, codec: "", tls: false, fill, quick: false }
    }

    fn kind(self, kind: &'static str) -> Work {
        Work { kind, ..self }
    }

    fn size(self, size: usize) -> Work {
        Work { size, ..self }
    }

    fn threads(self, threads: usize) -> Work {
        Work { threads, ..self }
    }

    fn prefetch(self, prefetch: u16) -> Work {
        Work { prefetch, ..self }
    }

    fn codec(self, codec: &'static str) -> Work {
        Work { codec, ..self }
    }

    fn window(self, window: usize) -> Work {
        Work { window, ..self }
    }

    fn tls(self) -> Work {
        Work { tls: true, ..self }
    }

    fn quick(self) -> Work {
        Work { quick: true, ..self }
    }

    fn body(&self) -> String {
        match (self.codec, self.size) {
            (_, 1_000_000..) => format!("{} MB", self.size / 1_000_000),
            (_, 1_000..) => format!("{} kB", self.size / 1_000),
            ("", _) => format!("{} B", self.size),
            (codec, _) => format!("a struct of 5 fields and 4 lines, {codec}"),
        }
    }

    /// Everything that sets it apart.
    pub fn title(&self) -> String {
        let mut parts = vec![self.what.to_string(), self.body()];
        match self.kind {
            "publish" => parts.push("transient, no confirms".into()),
            "window" | "send" => parts.push(format!("persistent, confirms, window {}", self.window)),
            "each" => parts.push(format!("persistent, confirms, {} thread(s)", self.threads)),
            "full-window" => parts.push(format!("persistent, confirms, {} threads, window {}", self.threads, self.window)),
            "consume" => parts.push(format!("transient, prefetch {}, {} worker(s)", self.prefetch, self.threads)),
            "receive" => parts.push(format!("prefetch {}, {} worker(s)", self.prefetch, self.threads)),
            "ping-pong" => parts.push("transient, no confirms, no acknowledgement".into()),
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

/// Every work, in the order of the table.
pub fn all() -> Vec<Work> {
    let publish = |name, messages| Work::new(name, "publish", "publish", messages);
    let each = |name, messages| Work::new(name, "publish, wait for each confirm", "each", messages);
    let consume = |name, messages| Work::new(name, "consume, acknowledge each", "consume", messages);
    let send = |name, codec| Work::new(name, "encode and publish", "send", 30_000).codec(codec);
    let receive = |name, codec| Work::new(name, "consume, decode, acknowledge each", "receive", 50_000).codec(codec);
    let memory = |name| Work::new(name, "memory broker: publish, consume, acknowledge", "memory", 2_000_000);
    vec![
        publish("publish-100", 100_000).quick(),
        publish("publish-10k", 30_000).size(10_000),
        publish("publish-1M", 1_500).size(1_000_000).quick(),
        Work::new("window-100", "publish", "window", 50_000).quick(),
        Work::new("window-10k", "publish", "window", 20_000).size(10_000),
        Work::new("window-8", "publish", "window", 20_000).window(8),
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
        Work::new("ping-pong", "publish and get it back", "ping-pong", 15_000).quick(),
        publish("tls-publish", 100_000).tls(),
        consume("tls-consume", 60_000).tls(),
        Work::new("tls-ping-pong", "publish and get it back", "ping-pong", 15_000).tls(),
        send("json-send", "json"),
        send("bincode-send", "bincode"),
        receive("json-receive", "json"),
        receive("bincode-receive", "bincode"),
        memory("memory-1").quick(),
        memory("memory-4x4").threads(4).kind("memory-pairs").quick(),
        Work::new("idle", "wait for messages that do not come", "idle", 5),
    ]
}
