//! Pods: the addresses that configuration gives services.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use mesh_core::workload::Workload;
use serde_json::{Value, json};

use super::application::{Application, Reach};
use super::echo::ServiceName;

/// Marks pods whose sidecars take mesh mTLS, as the injector does.
const TLS_MODE: &str = "security.istio.io/tlsMode";

/// A pod.
#[derive(Clone, Debug)]
pub(crate) struct Pod {
    /// What it answers for.
    pub(crate) service: ServiceName,
    pub(crate) account: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// Whether a sidecar stands before its applications.
    pub(crate) sidecar: bool,
    pub(crate) applications: BTreeMap<u16, Application>,
    /// What answers on all other ports.
    pub(crate) otherwise: Option<Application>,
}

impl Pod {
    /// A pod without a sidecar, where nothing answers.
    pub(crate) fn new(service: ServiceName, labels: BTreeMap<String, String>) -> Self {
        Self {
            service,
            account: "default".into(),
            labels,
            sidecar: false,
            applications: BTreeMap::new(),
            otherwise: None,
        }
    }

    /// What answers at a port, for those who come by `reach`.
    pub(super) fn application(&self, port: u16, reach: Reach) -> Option<&Application> {
        let application = self.applications.get(&port);
        let application = application.or(self.otherwise.as_ref());
        application.filter(|application| application.reach.is_at(reach))
    }

    /// The pod as configuration is resolved for it.
    fn workload(&self, address: IpAddr) -> Workload {
        let mut workload = Workload::sidecar(&self.service.namespace);
        for (key, value) in &self.labels {
            workload = workload.with_label(key, value);
        }
        workload.addresses.push(address);
        workload.service_account.clone_from(&self.account);
        workload
    }

    fn resource(&self, address: IpAddr, number: usize) -> Value {
        let mut labels = self.labels.clone();
        if self.sidecar {
            labels.insert(TLS_MODE.into(), "istio".into());
        }
        let address = address.to_string();
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": format!("{}-{number}", self.service.name),
                "namespace": self.service.namespace,
                "labels": labels,
            },
            "spec": {
                "serviceAccountName": self.account,
                "containers": [{"name": "app"}],
            },
            "status": {
                "phase": "Running",
                "podIP": address,
                "podIPs": [{"ip": address}],
                "conditions": [{"type": "Ready", "status": "True"}],
            },
        })
    }
}

/// Pods, each with an address of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pods(Vec<Pod>);

impl Pods {
    /// Adds a pod.
    pub(crate) fn add(&mut self, pod: Pod) {
        self.0.push(pod);
    }

    /// The pods as resources.
    pub(crate) fn resources(&self) -> Vec<Value> {
        let pods = self.iter().enumerate();
        pods.map(|(number, (address, pod))| pod.resource(address, number))
            .collect()
    }

    /// The pod of an address.
    pub(super) fn at(&self, address: IpAddr) -> Option<&Pod> {
        let mut pods = self.iter();
        pods.find_map(|(own, pod)| (own == address).then_some(pod))
    }

    /// The first pod that `is_meant`, as configuration is resolved for it.
    pub(crate) fn workload(&self, is_meant: impl Fn(&Pod) -> bool) -> Option<Workload> {
        let mut pods = self.iter();
        let (address, pod) = pods.find(|(_, pod)| is_meant(pod))?;
        Some(pod.workload(address))
    }

    /// The pod of an address, as configuration is resolved for it.
    pub(super) fn workload_at(&self, address: IpAddr) -> Option<Workload> {
        self.at(address).map(|pod| pod.workload(address))
    }

    fn iter(&self) -> impl Iterator<Item = (IpAddr, &Pod)> {
        let pods = self.0.iter().enumerate();
        pods.map(|(number, pod)| (address(number), pod))
    }
}

fn address(number: usize) -> IpAddr {
    let [high, low] = u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes();
    Ipv4Addr::new(10, 244, high, low).into()
}
