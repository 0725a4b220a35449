//! Settings that a definition and the builder bound to a connection have in common.

/// Writes each setting once, for a definition and for its builder, which holds one in the field `definition`.
macro_rules! settings {
    ($definition:ident, $builder:ident; $(
        $(#[$doc:meta])*
        fn $name:ident(mut $this:ident $(, $argument:ident: $kind:ty)*) $body:block
    )*) => {
        impl $definition {$(
            $(#[$doc])*
            #[must_use]
            pub fn $name(mut $this $(, $argument: $kind)*) -> $definition $body
        )*}

        impl $builder {$(
            $(#[$doc])*
            pub fn $name(mut self $(, $argument: $kind)*) -> $builder {
                self.definition = self.definition.$name($($argument),*);
                self
            }
        )*}
    };
}
