//! Structures whose fields are on the wire one after another.

/// Declares a structure with the octet of its type, and its fields in their order on the wire.
macro_rules! wire_struct {
    (
        $(#[$doc:meta])*
        $name:ident = $kind:literal, $within:literal {
            $($(#[$field_doc:meta])* $field:ident: $type:ty = $text:literal,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Default)]
        pub(crate) struct $name {
            $($(#[$field_doc])* pub(crate) $field: $type,)*
        }

        impl $name {
            /// The octet of the type.
            pub(crate) const KIND: u8 = $kind;

            /// Reads the fields behind the type octet.
            pub(crate) fn read(
                reader: &mut $crate::wire::wire_reader::WireReader<'_>,
            ) -> Result<$name, $crate::wire::error::OpenWireError> {
                use $crate::wire::wire_field::WireField;

                let mut inner = reader.clone().named($within);
                let read = $name {
                    $($field: WireField::read_field(&mut inner, $text)?,)*
                };
                *reader = inner.named(reader.within());
                Ok(read)
            }

            /// Appends the fields, without the type octet.
            pub(crate) fn write(&self, out: &mut Vec<u8>) {
                use $crate::wire::wire_field::WireField;

                $(WireField::write_field(&self.$field, out);)*
            }
        }
    };
}

/// Implements a structure as an object that fields of its own type hold.
macro_rules! wire_object {
    ($($name:ident)*) => {$(
        impl $crate::wire::wire_field::WireObject for $name {
            fn read_object(
                kind: u8,
                reader: &mut $crate::wire::wire_reader::WireReader<'_>,
                field: &'static str,
            ) -> Result<$name, $crate::wire::error::OpenWireError> {
                if kind != $name::KIND {
                    let within = reader.within();
                    return Err($crate::wire::error::OpenWireError::ObjectKind {
                        within,
                        field,
                        kind,
                    });
                }
                $name::read(reader)
            }

            fn write_object(&self, out: &mut Vec<u8>) {
                out.push($name::KIND);
                self.write(out);
            }
        }
    )*};
}

pub(crate) use wire_object;
pub(crate) use wire_struct;
