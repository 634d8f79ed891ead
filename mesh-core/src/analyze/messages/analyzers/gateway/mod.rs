//! Gateways: their pods, ports, credentials, and each other.

mod certificate;
mod conflict;
mod credential;
mod port;
mod validity;

pub(super) use self::certificate::duplicates;
pub(super) use self::conflict::conflicts;
pub(super) use self::credential::credentials;
pub(super) use self::port::ports;

use crate::analyze::messages::code::Code;
use crate::analyze::messages::context::{Report, selector_text};
use crate::origin::FieldPath;
use crate::resource::Resource;
use crate::resource::istio::Gateway;

/// Reports that a Gateway selects no pod.
fn report_unselective(gateway: &Resource<Gateway>, report: &mut Report) {
    let root = FieldPath::root();
    let (spec, text) = (root.field("spec"), selector_text(&gateway.spec.selector));
    let at = spec.field("selector");
    report.at(
        gateway,
        &at,
        Code::ReferencedResourceNotFound,
        &[&"selector", &text],
    );
}
