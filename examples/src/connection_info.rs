//! Tell the policies of an axum service which connection a request came by.
//!
//! A condition on addresses takes nobody's word for that: without it everybody is denied.
//!
//! # Example
//!
//! ```
//! use axum::{Extension, Router, routing::get};
//! use examples::{connection_info, once};
//! use http::Request;
//! use mesh_core::attributes::ConnectionInfo;
//! use tokio::net::TcpListener;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let port = |Extension(info): Extension<ConnectionInfo>| async move { info.local.port().to_string() };
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let address = listener.local_addr()?;
//! let app = connection_info::attach(Router::new().route("/", get(port)), address);
//! tokio::spawn(axum::serve(listener, app).into_future());
//!
//! let response = once::send(address, Request::get("/").body(Default::default())?).await?;
//! assert_eq!(response.body(), &address.port().to_string());
//! # Ok(())
//! # }
//! ```

use std::net::SocketAddr;

use axum::Router;
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use axum::extract::{ConnectInfo, Request};
use axum::middleware::map_request;
use mesh_core::attributes::ConnectionInfo;

/// `app` as a server at `local` takes it: each request has the [`ConnectionInfo`] of its plaintext
/// connection.
pub fn attach(
    app: Router,
    local: SocketAddr,
) -> IntoMakeServiceWithConnectInfo<Router, SocketAddr> {
    let told = map_request(
        move |ConnectInfo(peer): ConnectInfo<SocketAddr>, mut request: Request| async move {
            let connection = ConnectionInfo {
                peer,
                local,
                tls: None,
            };
            request.extensions_mut().insert(connection);
            request
        },
    );
    app.layer(told).into_make_service_with_connect_info()
}
