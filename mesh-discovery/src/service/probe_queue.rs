//! Whose probe is due.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Instant;

use crate::balance::host::Host;
use crate::health::probe::{Answer, ProbeSettings, Prober};

/// The endpoints that are probed, and when each is to be asked next. One that has gone and come back is
/// another, of which nothing is known.
#[derive(Debug)]
pub(super) struct ProbeQueue {
    settings: ProbeSettings,
    probed: HashMap<usize, Probed>,
    /// Those that are not being asked.
    due: BTreeSet<(Instant, usize)>,
}

#[derive(Debug)]
struct Probed {
    host: Host,
    prober: Prober,
}

impl ProbeQueue {
    /// No endpoints.
    pub(super) fn new(settings: ProbeSettings) -> Self {
        Self {
            settings,
            probed: HashMap::new(),
            due: BTreeSet::new(),
        }
    }

    /// These are the endpoints now. The new ones are due at once.
    pub(super) fn follow(&mut self, hosts: Vec<Host>, now: Instant) {
        let known: HashSet<usize> = hosts.iter().map(Host::id).collect();
        self.probed.retain(|id, probed| {
            let stays = known.contains(id);
            if !stays {
                self.due.remove(&(probed.prober.next_probe(), *id));
            }
            stays
        });
        for host in hosts {
            match self.probed.entry(host.id()) {
                Entry::Occupied(mut known) => known.get_mut().host = host,
                Entry::Vacant(new) => {
                    let prober = Prober::new(self.settings.clone(), now);
                    self.due.insert((prober.next_probe(), *new.key()));
                    new.insert(Probed { host, prober });
                }
            }
        }
    }

    /// When the next endpoint is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// An endpoint to ask now, which is not due again before it has answered.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Host> {
        let (_, id) = self.due.first().filter(|(due, _)| *due <= now)?;
        let host = self.probed.get(id)?.host.clone();
        self.due.pop_first();
        Some(host)
    }

    /// Takes what came of asking; `None` says nothing of the endpoint. Returns what the balancer is to be
    /// told, if anything: each success of an endpoint that is well may end an ejection, as in Envoy.
    pub(super) fn handle_answer(
        &mut self,
        host: &Host,
        answer: Option<Answer>,
        now: Instant,
    ) -> Option<bool> {
        let prober = &mut self.probed.get_mut(&host.id())?.prober;
        let changed = match answer {
            Some(answer) => prober.handle_answer(answer, now),
            None => {
                prober.postpone(now);
                None
            }
        };
        self.due.insert((prober.next_probe(), host.id()));
        let is_success = answer == Some(Answer::Success);
        let well = prober.is_healthy().filter(|is_well| *is_well && is_success);
        changed.or(well)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::balance::testing::{endpoint, now};
    use crate::health::probe::Probe;

    #[test]
    fn an_endpoint_is_asked_once_until_it_answers_and_then_after_the_interval() {
        let (mut queue, now) = (queue(), now());
        let host = Host::new(endpoint(1), now);
        queue.follow(vec![host.clone()], now);
        assert_eq!(asked(&mut queue, now), [1]);
        queue.follow(vec![host.clone()], now);
        assert!(asked(&mut queue, now).is_empty(), "it is being asked");
        assert_eq!(queue.next_due(), None);

        queue.handle_answer(&host, Some(Answer::Success), now);
        let after = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(queue.next_due(), Some(after(10)));
        assert!(asked(&mut queue, after(9)).is_empty());
        assert_eq!(asked(&mut queue, after(10)), [1]);
    }

    #[test]
    fn an_endpoint_that_has_gone_is_not_asked_and_its_answer_is_for_nobody() {
        let (mut queue, now) = (queue(), now());
        let (gone, other) = (Host::new(endpoint(1), now), Host::new(endpoint(2), now));
        queue.follow(vec![gone, other.clone()], now);
        queue.follow(vec![other.clone()], now);
        assert_eq!(asked(&mut queue, now), [2]);

        let back = Host::new(endpoint(2), now);
        queue.follow(vec![back.clone()], now);
        assert_eq!(asked(&mut queue, now), [2], "it is another");
        let told =
            |queue: &mut ProbeQueue, host| queue.handle_answer(host, Some(Answer::Failure), now);
        assert_eq!(told(&mut queue, &other), None);
        assert_eq!(told(&mut queue, &back), Some(false));
    }

    #[test]
    fn no_answer_changes_nothing() {
        let (mut queue, now) = (queue(), now());
        let host = Host::new(endpoint(1), now);
        queue.follow(vec![host.clone()], now);
        asked(&mut queue, now);
        assert_eq!(queue.handle_answer(&host, None, now), None);
        assert_eq!(queue.next_due(), Some(now + Duration::from_secs(10)));
        let first = queue.handle_answer(&host, Some(Answer::Failure), now);
        assert_eq!(first, Some(false), "the first answer decides");
    }

    fn queue() -> ProbeQueue {
        ProbeQueue::new(ProbeSettings::new(Probe::Tcp))
    }

    /// The ports of those that are due.
    fn asked(queue: &mut ProbeQueue, now: Instant) -> Vec<u16> {
        let due = std::iter::from_fn(|| queue.take_due(now));
        due.filter_map(|host| host.endpoint().address.port())
            .collect()
    }
}
