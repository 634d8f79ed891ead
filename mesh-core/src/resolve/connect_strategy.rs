//! `istio.io/connect-strategy`: with `RACE_FIRST_TCP_CONNECT` Istio's proxies connect to all addresses
//! of a name at once, and take the first that answers. That is not done here.

use std::sync::Arc;

use crate::model::Notice;
use crate::resolve::context::Context;
use crate::resource::Resource;
use crate::resource::istio::ServiceEntry;
use crate::resource::istio::service_entry::Resolution;

const ANNOTATION: &str = "istio.io/connect-strategy";
const RACE: &str = "RACE_FIRST_TCP_CONNECT";

/// That the workload does not race the addresses of the entries that it sees, for each that asks.
pub(super) fn notices(context: &Context<'_>) -> Vec<Notice> {
    let entries = context.config.resources().service_entries.iter();
    let asking = entries.filter(|entry| is_racing(entry));
    let seen = asking.filter(|entry| {
        let origin = entry.origin();
        let mut services = context.scope.destinations();
        services.any(|service| service.origin == origin)
    });
    let notice = |entry: &Arc<Resource<ServiceEntry>>| Notice {
        origin: entry.origin(),
        message: format!(
            "`{ANNOTATION}: {RACE}` is ignored: connections are made to one address at a time"
        ),
    };
    seen.map(notice).collect()
}

/// Whether an entry whose names are all asked for wants a race (`GetDNSConnectStrategy`).
fn is_racing(entry: &Resource<ServiceEntry>) -> bool {
    let strategy = entry.metadata.annotations.get(ANNOTATION);
    entry.spec.resolution == Resolution::Dns
        && strategy.is_some_and(|strategy| strategy.eq_ignore_ascii_case(RACE))
}
