//! What the TLS of a gateway is made of, from one generation to the next.

use std::collections::{BTreeSet, HashMap};
use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use mesh_core::identity::{TrustDomain, TrustDomains};
use mesh_core::model::Model;
use mesh_core::model::cluster::{Cluster, UpstreamTls};
use mesh_core::resource::istio::mesh_config::{MeshConfig, TlsConfig};
use mesh_core::service::ClusterName;
use mesh_core::watch::{self, Publisher, Watch};
use mesh_tls::config::{ClientTls, MeshIdentity, TlsCompiler, UpstreamTls as Compiled};
use mesh_tls::drain::{DrainList, Endings};
use mesh_tls::resolve::LiveIdentity;
use mesh_tls::secret_store::{SecretName, SecretStore};
use mesh_tls::trust_bundle::ExtraAuthorities;
use mesh_tls::verify::Roots;
use rustls::crypto::aws_lc_rs;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

use super::PublishError;
use super::handshakes::Handshakes;
use super::mesh_wide::MeshWide;
use super::secrets;
use crate::upstream::{Notice, Origination};

/// What TLS is made of. Secrets are replaced under the connections to come; connections to clusters
/// whose settings stay are used on.
#[derive(Debug)]
pub(super) struct Tls {
    identity: Option<LiveIdentity>,
    handshakes: Handshakes,
    basis: Basis,
    compiler: TlsCompiler,
    originations: Publisher<Table>,
    /// Those of the last configuration.
    last: Table,
    files: Vec<PathBuf>,
    connections: DrainList,
    /// Of the configuration that was published last, until it is served.
    next: Option<Endings>,
    rechecks: Option<Rechecks>,
}

/// What holds for all settings.
#[derive(Clone, Debug, PartialEq)]
struct Basis {
    /// `None` until there is a configuration.
    trust_domains: Option<TrustDomains>,
    limits: TlsConfig,
    defaults: TlsConfig,
    authorities: ExtraAuthorities,
    system_roots: Option<Roots>,
}

/// The TLS of clusters by their names.
type Table = HashMap<ClusterName, Arc<Entry>>;

#[derive(Debug)]
struct Entry {
    written: UpstreamTls,
    origination: Origination,
    secrets: Vec<SecretName>,
    notices: Vec<String>,
}

/// The TLS towards the endpoints of clusters, as it is now. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Originations(Watch<Table>);

impl Originations {
    /// There is none.
    pub(super) fn none() -> Self {
        Self(Table::default().into())
    }

    /// The TLS towards those endpoints of a cluster that speak it.
    pub(super) fn get(&self, cluster: &ClusterName) -> Option<Origination> {
        Some(self.0.load().get(cluster)?.origination.clone())
    }
}

impl Tls {
    /// No secrets yet. In the mesh, `identity` is proven; failures are told to `handshakes`.
    pub(super) fn new(identity: Option<LiveIdentity>, handshakes: Handshakes) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        Self {
            identity,
            handshakes,
            basis: Basis {
                trust_domains: None,
                limits: TlsConfig::default(),
                defaults: TlsConfig::default(),
                authorities: ExtraAuthorities::default(),
                system_roots: None,
            },
            compiler: TlsCompiler::new(provider, SecretStore::default()),
            originations: watch::channel(Table::default()).0,
            last: Table::default(),
            files: Vec::new(),
            connections: DrainList::new(),
            next: None,
            rechecks: None,
        }
    }

    /// The files that secrets are read from.
    pub(super) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Who compiles the TLS of a configuration: it knows the secrets of all, and lists those that
    /// this one names.
    pub(super) fn compiler(
        &mut self,
        model: &Model,
        wide: &MeshWide,
    ) -> Result<TlsCompiler, PublishError> {
        let trust_domains = wide.options.trust_domains()?;
        let written = wide.options.as_written();
        let basis = Basis {
            limits: written.mesh_mtls.clone().unwrap_or_default(),
            defaults: written.tls_defaults.clone().unwrap_or_default(),
            authorities: authorities(written).0,
            system_roots: self.system_roots(model),
            trust_domains: Some(trust_domains.clone()),
        };
        if self.basis != basis {
            let provider = Arc::clone(self.compiler.provider());
            let mut compiler = TlsCompiler::new(provider, self.compiler.secrets().clone())
                .with_mesh_limits(basis.limits.clone())
                .with_defaults(basis.defaults.clone())
                .with_drain_list(self.connections.clone());
            if let Some(live) = self.identity.clone() {
                let identity = MeshIdentity::new(live, trust_domains)
                    .with_extra_authorities(basis.authorities.clone());
                compiler = compiler.with_identity(identity);
            }
            if let Some(roots) = basis.system_roots.clone() {
                compiler = compiler.with_system_roots(roots);
            }
            (self.compiler, self.basis) = (compiler, basis);
            self.last.clear();
        }
        let scope = self.compiler.secrets().scoped();
        let compiler = self.compiler.clone().with_secrets(scope);
        Ok(compiler.with_endings(Endings::new()))
    }

    /// The authorities of the system, read once they are needed.
    fn system_roots(&self, model: &Model) -> Option<Roots> {
        if self.basis.system_roots.is_some() {
            return self.basis.system_roots.clone();
        }
        let mut clusters = model.clusters.values();
        let is_needed = clusters.any(|cluster| needs_system_roots(&cluster.tls));
        is_needed.then(secrets::system_roots).flatten()
    }

    /// Compiles the TLS of all clusters, publishes it and the secrets that the configuration names,
    /// and says what of it cannot be had.
    ///
    /// Settings of the configuration before stay until the next: requests may still follow it.
    pub(super) fn publish(
        &mut self,
        compiler: &TlsCompiler,
        model: &Model,
        wide: &MeshWide,
    ) -> Vec<String> {
        let (_, mut warnings) = authorities(wide.options.as_written());
        let mut table = Table::default();
        for (name, cluster) in &model.clusters {
            match self.entry(compiler, cluster) {
                Ok(Some(entry)) => {
                    warnings.extend(entry.notices.iter().cloned());
                    table.insert(name.clone(), entry);
                }
                Ok(None) => {}
                Err(why) => warnings.push(why),
            }
        }
        let mut names: BTreeSet<SecretName> = compiler.secrets().wanted().into_iter().collect();
        names.extend(
            table
                .values()
                .flat_map(|entry| entry.secrets.iter().cloned()),
        );
        warnings.extend(secrets::publish(compiler, &names, (model, wide)));
        compiler.secrets().retain(&names);
        self.files = names.iter().flat_map(secrets::files).collect();
        let mut published = std::mem::replace(&mut self.last, table.clone());
        published.extend(table);
        self.originations.publish(published);
        self.next = compiler.endings().cloned();
        warnings.extend(self.recheck().err().map(|error| {
            format!("connections with those that are trusted no more are not ended: {error}")
        }));
        warnings
    }

    /// Ends the connections with clients whose filter chain is gone or asks for something else, once the
    /// configuration that was published last has taken the place of the one before.
    pub(super) fn keep(&mut self) {
        if let Some(endings) = self.next.take() {
            self.connections.keep(endings);
        }
        if let Some(rechecks) = &self.rechecks {
            rechecks.now();
        }
    }

    /// Ends the connections with clients and servers that are trusted no more, now that secrets may have
    /// changed, and from now on when the identity says so.
    fn recheck(&mut self) -> io::Result<()> {
        let rechecks = match self.rechecks.take() {
            Some(rechecks) => rechecks,
            None => Rechecks::start(self.connections.clone(), self.identity.as_ref())?,
        };
        rechecks.now();
        self.rechecks = Some(rechecks);
        Ok(())
    }

    /// The TLS of one cluster, if it may need any.
    fn entry(
        &self,
        compiler: &TlsCompiler,
        cluster: &Cluster,
    ) -> Result<Option<Arc<Entry>>, String> {
        if cluster.tls == UpstreamTls::Plaintext {
            return Ok(None);
        }
        if let Some(known) = self.last.get(&cluster.name)
            && known.written == cluster.tls
        {
            return Ok(Some(Arc::clone(known)));
        }
        // What this cluster alone names.
        let scope = compiler.secrets().scoped();
        let compiled = compiler
            .clone()
            .with_secrets(scope.clone())
            .upstream(cluster);
        let tls = match compiled {
            Ok(Compiled::Auto(tls) | Compiled::Always(tls)) => tls,
            Ok(Compiled::Never) => return Ok(None),
            // Where nobody demands it, there may be endpoints without it.
            Err(_)
                if !cluster.endpoints.iter().any(|endpoint| endpoint.mesh_tls)
                    && matches!(cluster.tls, UpstreamTls::Auto(_)) =>
            {
                return Ok(None);
            }
            Err(errors) => {
                let name = &cluster.name;
                return Err(format!(
                    "endpoints of `{name}` that speak TLS are not used: {errors}"
                ));
            }
        };
        Ok(Some(Arc::new(Entry {
            written: cluster.tls.clone(),
            notices: tls.notices().iter().map(ToString::to_string).collect(),
            origination: self.origination(&cluster.name, tls),
            secrets: scope.wanted(),
        })))
    }

    fn origination(&self, cluster: &ClusterName, tls: ClientTls) -> Origination {
        let (handshakes, cluster) = (self.handshakes.clone(), cluster.clone());
        Origination::new(tls, move |notice| match notice {
            Notice::Failed(why) => handshakes.unreached(&cluster, why),
            Notice::Unasked(why) => handshakes.unproven(&cluster, why),
        })
    }

    /// The TLS towards clusters.
    pub(super) fn originations(&self) -> Originations {
        Originations(self.originations.watch())
    }
}

/// The authorities that the mesh believes beside those of the identity, and what of them cannot be had.
fn authorities(mesh: &MeshConfig) -> (ExtraAuthorities, Vec<String>) {
    let mut authorities = ExtraAuthorities::default();
    let mut problems = Vec::new();
    for (index, data) in mesh.ca_certificates.iter().enumerate() {
        let Some(pem) = &data.pem else {
            continue;
        };
        let domains = data.trust_domains.iter().map(|domain| domain.parse());
        let added = match domains.collect::<Result<Vec<TrustDomain>, _>>() {
            Ok(domains) => {
                let added = authorities.add_pem(pem.as_bytes(), &domains);
                added.map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        let field = |why| format!("`caCertificates[{index}]` of the mesh is not used: {why}");
        problems.extend(added.err().map(field));
    }
    let of_proxies = mesh.default_config.iter();
    for pem in of_proxies.flat_map(|config| &config.ca_certificates_pem) {
        let added = authorities.add_pem(pem.as_bytes(), &[]);
        let field = |why| format!("`caCertificatesPem` of the mesh is not used: {why}");
        problems.extend(added.err().map(field));
    }
    (authorities, problems)
}

/// A thread that rechecks connections.
#[derive(Debug)]
struct Rechecks {
    wake: Arc<Notify>,
    // `None` once it is dropped.
    runtime: Option<Runtime>,
}

impl Rechecks {
    fn start(connections: DrainList, identity: Option<&LiveIdentity>) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("recheck")
            .build()?;
        let wake = Arc::new(Notify::new());
        let (woken, mut bundles) = (
            Arc::clone(&wake),
            identity.map(|live| live.bundles().clone()),
        );
        runtime.spawn(async move {
            loop {
                let changed = async {
                    match &mut bundles {
                        Some(bundles) => bundles.changed().await,
                        None => pending().await,
                    }
                };
                tokio::select! {
                    () = changed => {}
                    () = woken.notified() => {}
                }
                connections.recheck();
            }
        });
        let runtime = Some(runtime);
        Ok(Self { wake, runtime })
    }

    fn now(&self) {
        self.wake.notify_one();
    }
}

impl Drop for Rechecks {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // What is under way is not waited for.
            runtime.shutdown_background();
        }
    }
}

/// Whether servers are verified by the authorities of the system.
fn needs_system_roots(tls: &UpstreamTls) -> bool {
    matches!(tls, UpstreamTls::Settings(settings) if settings.trusts_system())
}
