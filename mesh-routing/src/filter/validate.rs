use http::header::{HOST, HeaderValue};
use http::uri::Authority;
use mesh_core::model::filter::{CorsPolicy, HeaderMutations};
use mesh_core::model::route::{Forward, PathRewrite, Redirect, Route, RouteAction};

/// Checks that the filters of `route` can be applied to a request.
///
/// [`RouteTable::compile`](crate::table::RouteTable::compile) does so, and checks the statuses of
/// answers itself.
///
/// # Errors
///
/// - A redirect has another scheme than `http` and `https`.
/// - A host or CORS field has a character that may not stand there, or a path one that Envoy
///   refuses: NUL, carriage return or line feed.
/// - A header operation is one on `host`, which Envoy leaves to rewrites of the authority.
pub fn validate(route: &Route) -> Result<(), InvalidFilter> {
    validate_headers(&route.headers)?;
    if let Some(policy) = &route.cors {
        validate_cors(policy)?;
    }
    match &route.action {
        RouteAction::DirectResponse(_) => Ok(()),
        RouteAction::Forward(forward) => validate_forward(forward),
        RouteAction::Redirect(redirect) => validate_redirect(redirect),
    }
}

/// Checks the operations of one level.
pub(crate) fn validate_headers(headers: &HeaderMutations) -> Result<(), InvalidFilter> {
    for mutation in [&headers.request, &headers.response] {
        let written = mutation.options.iter().map(|option| &option.name);
        if mutation
            .remove
            .iter()
            .chain(written)
            .any(|name| *name == HOST)
        {
            return Err(InvalidFilter::HostHeader);
        }
    }
    Ok(())
}

fn validate_cors(policy: &CorsPolicy) -> Result<(), InvalidFilter> {
    let fields = [
        &policy.allow_methods,
        &policy.allow_headers,
        &policy.expose_headers,
    ];
    for value in fields {
        HeaderValue::from_str(value).map_err(|_| InvalidFilter::Cors {
            value: value.clone(),
        })?;
    }
    Ok(())
}

fn validate_forward(forward: &Forward) -> Result<(), InvalidFilter> {
    for destination in &forward.destinations {
        validate_headers(&destination.headers)?;
    }
    let of_destinations = forward.destinations.iter().map(|one| &one.authority);
    for authority in of_destinations
        .chain([&forward.rewrite.authority])
        .flatten()
    {
        validate_authority(authority)?;
    }
    forward.rewrite.path.as_ref().map_or(Ok(()), validate_path)
}

fn validate_redirect(redirect: &Redirect) -> Result<(), InvalidFilter> {
    let Redirect {
        status: _,
        scheme,
        host,
        port: _,
        path,
        strip_query: _,
    } = redirect;
    if let Some(scheme) = scheme
        .as_ref()
        .filter(|scheme| *scheme != "http" && *scheme != "https")
    {
        let scheme = scheme.clone();
        return Err(InvalidFilter::Scheme { scheme });
    }
    host.as_deref().map_or(Ok(()), validate_authority)?;
    path.as_ref().map_or(Ok(()), validate_path)
}

fn validate_authority(authority: &str) -> Result<(), InvalidFilter> {
    let valid = authority.parse::<Authority>().map(drop);
    valid.map_err(|_| InvalidFilter::Authority {
        authority: authority.to_owned(),
    })
}

fn validate_path(rewrite: &PathRewrite) -> Result<(), InvalidFilter> {
    let path = match rewrite {
        PathRewrite::Full(path) | PathRewrite::Prefix(path) => path,
        PathRewrite::Regex(rewrite) => rewrite.substitution(),
        PathRewrite::Template(rewrite) => rewrite.as_str(),
    };
    // Other characters that may not stand in a path are encoded when it is rewritten.
    if path.contains(['\0', '\r', '\n']) {
        return Err(InvalidFilter::Path {
            path: path.to_owned(),
        });
    }
    Ok(())
}

/// A filter could not be applied to a request.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidFilter {
    /// A host cannot be the authority of a URI.
    #[error("`{authority}` is no authority")]
    Authority {
        /// The host.
        authority: String,
    },
    /// A list of a CORS policy cannot be the value of a header field.
    #[error("`{value}` has a character that may not stand in a header field")]
    Cors {
        /// The list.
        value: String,
    },
    /// An operation is one on `host`, which only a rewrite of the authority may change.
    #[error("`host` is no header to change: rewrite the authority")]
    HostHeader,
    /// A path cannot be the path of a URI.
    #[error("`{path}` has a character that may not stand in a path")]
    Path {
        /// The path, or what is substituted in one.
        path: String,
    },
    /// A redirect leads to a scheme that is not HTTP's.
    #[error("a redirect cannot have the scheme `{scheme}`")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
}

#[cfg(test)]
mod tests {
    use mesh_core::model::route::{DirectResponse, RouteMatch, WeightedDestination};
    use mesh_core::origin::Origin;
    use mesh_core::service::ClusterName;

    use super::*;

    fn redirect(change: impl FnOnce(&mut Redirect)) -> RouteAction {
        let mut redirect = Redirect {
            status: 301,
            scheme: Some("https".into()),
            host: Some("a.example".into()),
            port: None,
            path: None,
            strip_query: false,
        };
        change(&mut redirect);
        RouteAction::Redirect(Box::new(redirect))
    }

    fn forward(change: impl FnOnce(&mut Forward)) -> RouteAction {
        let cluster = ClusterName::outbound(80, "", "cart.example");
        let mut forward = Forward::to([WeightedDestination::new(cluster)]);
        change(&mut forward);
        RouteAction::Forward(Box::new(forward))
    }

    fn direct() -> RouteAction {
        let body = None;
        RouteAction::DirectResponse(Box::new(DirectResponse { status: 200, body }))
    }

    fn problem(action: RouteAction) -> Option<String> {
        let route = Route::new("route", RouteMatch::prefix("/"), action);
        validate(&route).err().map(|error| error.to_string())
    }

    #[test]
    fn what_could_not_be_applied_is_refused() {
        let rewrite = |path: &str| Some(PathRewrite::Prefix(path.into()));
        let cases = [
            (redirect(|_| ()), None),
            (
                redirect(|to| to.scheme = Some("ftp".into())),
                Some("a redirect cannot have the scheme `ftp`"),
            ),
            (
                redirect(|to| to.host = Some("a b".into())),
                Some("`a b` is no authority"),
            ),
            (forward(|to| to.rewrite.path = rewrite("")), None),
            (forward(|to| to.rewrite.path = rewrite("no-slash")), None),
            (forward(|to| to.rewrite.path = rewrite("/a <b>")), None),
            (
                forward(|to| to.rewrite.path = rewrite("/a\rb")),
                Some("`/a\rb` has a character that may not stand in a path"),
            ),
            (
                forward(|to| to.destinations[0].authority = Some("a/b".into())),
                Some("`a/b` is no authority"),
            ),
            (
                forward(|to| to.destinations[0].headers.request.remove = vec![HOST]),
                Some("`host` is no header to change: rewrite the authority"),
            ),
            (direct(), None),
        ];
        for (action, expected) in cases {
            let shown = format!("{action:?}");
            assert_eq!(problem(action).as_deref(), expected, "{shown}");
        }
    }

    #[test]
    fn cors_fields_have_to_fit_into_headers() {
        let mut route = Route::new("route", RouteMatch::prefix("/"), direct());
        let allow_methods = "GET\nPUT".into();
        route.cors = Some(Box::new(CorsPolicy {
            allow_methods,
            ..CorsPolicy::new(Origin::synthetic("cors"))
        }));
        assert!(matches!(validate(&route), Err(InvalidFilter::Cors { .. })));
    }
}
