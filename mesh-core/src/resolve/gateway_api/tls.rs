//! How listeners terminate TLS (`buildTLS` in `pilot/pkg/config/kube/gateway/conversion.go`).

use crate::config::MeshConfig;
use crate::config::gateway_api::reason::{Reason, Refusal};
use crate::resolve::gateway_api::certificate;
use crate::resolve::gateway_api::grants::{self, Referent};
use crate::resolve::gateway_api::listener::GatewayListener;
use crate::resource::gateway_api::gateway_tls::{FrontendTlsValidation, FrontendValidationMode};
use crate::resource::gateway_api::listener::{ListenerTlsConfig, TlsMode};
use crate::resource::gateway_api::object_reference::{ObjectReference, SecretObjectReference};
use crate::resource::istio::gateway::{ServerTlsMode, ServerTlsSettings};

/// Option of a listener that names one of Istio's own modes.
const MODE_OPTION: &str = "gateway.istio.io/tls-terminate-mode";
/// Option of a listener that names cipher suites.
const CIPHER_SUITES_OPTION: &str = "gateway.istio.io/tls-cipher-suites";
/// Credential that is the workload's own certificate.
const OWN_CERTIFICATE: &str = "builtin://";
/// Option of a listener that passes TLS on by the names of clusters.
const LISTENER_MODE_OPTION: &str = "gateway.istio.io/listener-protocol";
/// Label of a gateway between networks.
const NETWORK_LABEL: &str = "topology.istio.io/network";
/// Label with the port of a gateway between networks, and its default.
const NETWORK_PORT_LABEL: &str = "networking.istio.io/gatewayPort";
const NETWORK_PORT: &str = "15443";
/// Most certificates that a listener can have: one of each kind of key.
const MAX_CERTIFICATES: usize = 2;

/// The settings of a listener. `None` where it has no TLS.
///
/// # Errors
///
/// Which certificate is missing, or may not be used.
pub(super) fn settings(
    config: &MeshConfig,
    listener: &GatewayListener<'_>,
) -> Result<Option<ServerTlsSettings>, Refusal> {
    let Some(written) = &listener.written.tls else {
        return Ok(None);
    };
    let mut settings = match written.mode {
        Some(TlsMode::Passthrough) => ServerTlsSettings {
            mode: passthrough_mode(listener, written),
            ..ServerTlsSettings::default()
        },
        Some(TlsMode::Terminate) | None => terminate(config, listener, written)?,
    };
    if let Some(suites) = written.options.get(CIPHER_SUITES_OPTION) {
        let suites = suites.split(',').map(str::trim);
        let suites = suites.filter(|suite| !suite.is_empty());
        settings.cipher_suites = suites.map(str::to_owned).collect();
    }
    Ok(Some(settings))
}

/// By the names of clusters where the listener says so, or is that between networks
/// (`IsAutoPassthrough`).
fn passthrough_mode(listener: &GatewayListener<'_>, written: &ListenerTlsConfig) -> ServerTlsMode {
    let option = written.options.get(LISTENER_MODE_OPTION);
    let labels = &listener.owner.labels;
    let port = labels
        .get(NETWORK_PORT_LABEL)
        .map_or(NETWORK_PORT, String::as_str);
    let is_between = labels.contains_key(NETWORK_LABEL) && listener.port.to_string() == port;
    match is_between || option.is_some_and(|option| option == "auto-passthrough") {
        true => ServerTlsMode::AutoPassthrough,
        false => ServerTlsMode::Passthrough,
    }
}

fn terminate(
    config: &MeshConfig,
    listener: &GatewayListener<'_>,
    written: &ListenerTlsConfig,
) -> Result<ServerTlsSettings, Refusal> {
    let mut settings = ServerTlsSettings {
        mode: ServerTlsMode::Simple,
        ..ServerTlsSettings::default()
    };
    let mode = written.options.get(MODE_OPTION).map(String::as_str);
    match mode {
        Some("ISTIO_SIMPLE") => {
            settings.credential_name = OWN_CERTIFICATE.to_owned();
            return Ok(settings);
        }
        Some("ISTIO_MUTUAL") => {
            settings.mode = ServerTlsMode::IstioMutual;
            return Ok(settings);
        }
        _ => {}
    }
    set_certificates(config, listener, &written.certificate_refs, &mut settings)?;
    if let Some(validation) = client_validation(listener) {
        set_client_validation(config, listener, validation, &mut settings)?;
    }
    match mode {
        Some("MUTUAL") => settings.mode = ServerTlsMode::Mutual,
        Some("OPTIONAL_MUTUAL") => settings.mode = ServerTlsMode::OptionalMutual,
        _ => return Ok(settings),
    }
    settings.insecure_skip_verify = settings.insecure_skip_verify.map(|_| false);
    Ok(settings)
}

/// The certificates of a listener: those that can be used, at least one.
fn set_certificates(
    config: &MeshConfig,
    listener: &GatewayListener<'_>,
    references: &[SecretObjectReference],
    settings: &mut ServerTlsSettings,
) -> Result<(), Refusal> {
    if references.len() > MAX_CERTIFICATES {
        let message =
            format!("TLS mode can only support up to {MAX_CERTIFICATES} server certificates");
        return Err(Refusal::new(Reason::InvalidCertificateRef, message));
    }
    let mut names = Vec::new();
    let mut refusals: Option<Refusal> = None;
    for reference in references {
        match (certificate_name(config, listener, reference), &mut refusals) {
            (Ok(name), _) => names.push(name),
            (Err(refusal), None) => refusals = Some(refusal),
            (Err(refusal), Some(first)) => first.message += &format!("; {}", refusal.message),
        }
    }
    match (names.as_slice(), refusals) {
        ([], Some(refusal)) => return Err(refusal),
        ([], None) => {
            let message = "a listener that terminates TLS needs a certificate";
            return Err(Refusal::new(Reason::InvalidCertificateRef, message));
        }
        ([only], _) => settings.credential_name.clone_from(only),
        _ => settings.credential_names = names,
    }
    Ok(())
}

/// The credential with a certificate of a listener.
fn certificate_name(
    config: &MeshConfig,
    listener: &GatewayListener<'_>,
    reference: &SecretObjectReference,
) -> Result<String, Refusal> {
    let own = &listener.owner.namespace;
    let referent = Referent::secret(reference, own);
    if !grants::allows(config, listener.owner_kind, own, &referent) {
        let (name, namespace) = (referent.name, referent.namespace);
        let message = format!(
            "certificateRef {name}/{namespace} not accessible to a Gateway in namespace \"{own}\" \
             (missing a ReferenceGrant?)"
        );
        return Err(Refusal::new(Reason::RefNotPermitted, message));
    }
    check_key_pair(config, reference, own).map_err(|why| {
        let message = format!("invalid certificate reference {}, {why}", text(reference));
        Refusal::new(Reason::InvalidCertificateRef, message)
    })?;
    let (name, namespace) = (referent.name, referent.namespace);
    Ok(format!("kubernetes-gateway://{namespace}/{name}"))
}

/// Whether the reference of an object of `namespace` is to a Secret with a certificate and its key.
///
/// # Errors
///
/// Why it is not.
pub(super) fn check_key_pair(
    config: &MeshConfig,
    reference: &SecretObjectReference,
    namespace: &str,
) -> Result<(), String> {
    if reference.group_kind() != ("", "Secret") {
        return Err("only secret is allowed".to_owned());
    }
    let namespace = reference.namespace.as_deref().unwrap_or(namespace);
    let name = &reference.name;
    let secret = config.resources().secret(namespace, name);
    let secret = secret.ok_or_else(|| format!("secret {namespace}/{name} not found"))?;
    certificate::check_chain(&secret.spec)
}

/// The reference as istiod writes it, with the kind that it is to by default.
pub(super) fn text(reference: &SecretObjectReference) -> String {
    let (group, kind) = reference.group_kind();
    let namespace = reference.namespace.as_deref().unwrap_or_default();
    format!("{group}/{kind}/{}.{namespace}", reference.name)
}

/// What the Gateway says of clients at the listener's port.
fn client_validation<'a>(listener: &GatewayListener<'a>) -> Option<&'a FrontendTlsValidation> {
    let frontend = listener.gateway.spec.tls.as_ref()?.frontend.as_ref()?;
    let mut ports = frontend.per_port.iter();
    let of_port = ports.find(|found| found.port == listener.port);
    let tls = of_port.map_or(&frontend.default, |found| &found.tls);
    let validation = tls.validation.as_ref()?;
    (!validation.ca_certificate_refs.is_empty()).then_some(validation)
}

fn set_client_validation(
    config: &MeshConfig,
    listener: &GatewayListener<'_>,
    validation: &FrontendTlsValidation,
    settings: &mut ServerTlsSettings,
) -> Result<(), Refusal> {
    let [reference] = validation.ca_certificate_refs.as_slice() else {
        let message = "only one caCertificateRef is supported";
        return Err(Refusal::new(Reason::InvalidCaCertificateRef, message));
    };
    settings.ca_cert_credential_name = authorities(config, listener, reference)?;
    let is_lenient = validation.mode == Some(FrontendValidationMode::AllowInsecureFallback);
    settings.mode = match is_lenient {
        true => ServerTlsMode::OptionalMutual,
        false => ServerTlsMode::Mutual,
    };
    settings.insecure_skip_verify = Some(is_lenient);
    Ok(())
}

/// The credential of a ConfigMap or Secret with authorities, whose name ends as Istio has it.
fn authorities(
    config: &MeshConfig,
    listener: &GatewayListener<'_>,
    reference: &ObjectReference,
) -> Result<String, Refusal> {
    let ObjectReference {
        group,
        kind,
        name,
        namespace: written,
    } = reference;
    let own = &listener.owner.namespace;
    let namespace = written.as_ref().unwrap_or(own);
    let referent = Referent {
        group,
        kind,
        namespace,
        name,
    };
    if !grants::allows(config, listener.owner_kind, own, &referent) {
        let message = format!(
            "caCertificateRef {namespace}/{name} not accessible to a Gateway in namespace \
             \"{own}\" (missing a ReferenceGrant?)"
        );
        return Err(Refusal::new(Reason::RefNotPermitted, message));
    }
    let refuse = |reason, why: String| {
        let written = written.as_deref().unwrap_or_default();
        let reference = format!("{group}/{kind}/{name}.{written}");
        let message = format!("invalid CA certificate reference {reference}, {why}");
        Refusal::new(reason, message)
    };
    let invalid = |why| refuse(Reason::InvalidCaCertificateRef, why);
    let resources = config.resources();
    let scheme = match (group.as_str(), kind.as_str()) {
        ("", "ConfigMap") => {
            let map = resources.config_map(namespace, name);
            let map =
                map.ok_or_else(|| invalid(format!("configmap {namespace}/{name} not found")))?;
            certificate::check_authorities(&map.spec.data).map_err(invalid)?;
            "configmap"
        }
        ("", "Secret") => {
            let secret = resources.secret(namespace, name);
            let secret =
                secret.ok_or_else(|| invalid(format!("secret {namespace}/{name} not found")))?;
            certificate::check_secret_authorities(&secret.spec).map_err(invalid)?;
            "kubernetes-gateway"
        }
        _ => {
            let why = "only secret and configmap are allowed".to_owned();
            return Err(refuse(Reason::InvalidCaCertificateKind, why));
        }
    };
    Ok(format!("{scheme}://{namespace}/{name}-cacert"))
}
