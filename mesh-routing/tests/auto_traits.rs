//! Public types can be shared, sent, cloned and printed.

use std::fmt::Debug;

use mesh_routing::error::{CompileError, CompileErrorKind, CompileErrors};
use mesh_routing::l4::{Connection, FilterChainTable};
use mesh_routing::request::RequestHead;
use mesh_routing::table::{Lookup, RouteTable, RouteTableBuilder};

#[test]
fn public_types_are_send_sync_clone_and_debug() {
    fn check<T: Send + Sync + Clone + Debug>() {}
    check::<CompileError>();
    check::<CompileErrorKind>();
    check::<CompileErrors>();
    check::<Connection<'_>>();
    check::<FilterChainTable>();
    check::<Lookup>();
    check::<RequestHead<'_>>();
    check::<RouteTable>();
    check::<RouteTableBuilder>();
}
