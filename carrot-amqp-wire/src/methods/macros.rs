/// Defines structs of the fields of methods, in the order of the wire. Types in brackets before and
/// after the fields are reserved fields, which are written as 0 or empty and ignored when read.
macro_rules! method_fields {
    ($(
        $(#[$doc:meta])*
        $name:ident $(<$life:lifetime>)? $([$($before:ty),*])? {
            $($(#[$field_doc:meta])* $field:ident: $type:ty,)*
        } $([$($after:ty),*])?
    )*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Default)]
        #[allow(clippy::exhaustive_structs, reason = "AMQP 0-9-1 defines the fields")]
        pub struct $name $(<$life>)? {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl<'a> $crate::methods::method_fields::MethodFields<'a> for $name $(<$life>)? {
            #[inline]
            fn read_fields(
                cursor: &mut $crate::cursor::Cursor<'a>,
            ) -> Result<Self, $crate::error::WireError> {
                use $crate::field::Field;
                $($(<$before as Field<'a>>::skip_reserved(cursor)?;)*)?
                $(let $field = <$type as Field<'a>>::read_field(cursor, stringify!($field))?;)*
                $($(<$after as Field<'a>>::skip_reserved(cursor)?;)*)?
                Ok($name { $($field,)* })
            }

            #[inline]
            fn write_fields(
                &self,
                writer: &mut $crate::field_writer::FieldWriter<'_>,
            ) -> Result<(), $crate::error::WireError> {
                use $crate::field::Field;
                $($(<$before as Field<'_>>::write_reserved(writer)?;)*)?
                $(self.$field.write_field(writer, stringify!($field))?;)*
                $($(<$after as Field<'_>>::write_reserved(writer)?;)*)?
                Ok(())
            }

            #[cfg(test)]
            fn sample_fields(samples: &mut $crate::testing::Samples<'a>) -> Self {
                $(let $field = $crate::field::Field::sample_field(samples);)*
                let _ = samples;
                $name { $($field,)* }
            }
        }
    )*};
}
