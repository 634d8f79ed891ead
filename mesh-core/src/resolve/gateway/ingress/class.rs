//! Which Ingresses Istio serves (`shouldProcessIngressWithClass`).

use std::sync::Arc;

use crate::model::Notice;
use crate::resolve::context::Context;
use crate::resource::Resource;
use crate::resource::istio::mesh_config::IngressControllerMode;
use crate::resource::kubernetes::ingress::Ingress;

const ANNOTATION: &str = "kubernetes.io/ingress.class";

/// Istio's controller, as IngressClasses name it.
const CONTROLLER: &str = "istio.io/ingress-controller";

/// The Ingresses that are Istio's, with a notice for each other one.
pub(super) fn ours<'a>(
    context: &Context<'a>,
    notices: &mut Vec<Notice>,
) -> Vec<&'a Arc<Resource<Ingress>>> {
    let mut ours = Vec::new();
    for ingress in &context.config.resources().ingresses {
        match verdict(context, ingress) {
            Ok(()) => ours.push(ingress),
            Err(reason) => notices.push(Notice {
                origin: ingress.origin(),
                message: format!("it is left out: {reason}"),
            }),
        }
    }
    ours
}

/// Whether an Ingress is of a class of Istio's, or of none where Istio takes those.
///
/// A class is Istio's by its controller, one in the annotation by its name. So is, other than in Istio,
/// one that is not among the resources, which need not be those of a whole cluster.
///
/// # Errors
///
/// Why it is not.
fn verdict(context: &Context<'_>, ingress: &Resource<Ingress>) -> Result<(), String> {
    let options = context.config.options().as_written();
    let mode = options.ingress_controller_mode;
    if mode == Some(IngressControllerMode::Off) {
        return Err("`ingressControllerMode` is OFF".to_owned());
    }
    let annotation = ingress.metadata.annotations.get(ANNOTATION);
    let class = ingress.spec.spec.ingress_class_name.as_ref();
    let Some(name) = annotation.or(class) else {
        return match mode {
            Some(IngressControllerMode::Default) => Ok(()),
            _ => Err("it is of no class, and `ingressControllerMode` is STRICT".to_owned()),
        };
    };
    let mut classes = context.config.resources().ingress_classes.iter();
    let found = classes.find(|class| annotation.is_none() && class.metadata.name == *name);
    if let Some(found) = found {
        let controller = &found.spec.spec.controller;
        return match controller == CONTROLLER {
            true => Ok(()),
            false => Err(format!("its class `{name}` is that of `{controller}`")),
        };
    }
    let own = options.ingress_class.as_deref();
    let own = own.filter(|class| !class.is_empty()).unwrap_or("istio");
    match name == own {
        true => Ok(()),
        false => Err(format!("its class is `{name}`, not `{own}`")),
    }
}
