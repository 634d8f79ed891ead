//! The server under test: the gateway of the examples, over plaintext HTTP/2.

use std::net::SocketAddr;

use examples::config::Loaded;
use examples::gateway::{Gateway, Settings};
use mesh_core::config::MeshConfig;
use mesh_core::resolve::resolve;
use mesh_core::workload::Workload;
use tokio::runtime::Runtime;

use crate::stage::echo::{self, Log, ServiceName};
use crate::stage::scene;

/// The port that the Gateway declares.
const PORT: u16 = 80;

/// Requests for `/echo` go to a service that reads them to their end; others are answered by the
/// gateway itself.
const CONFIG: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: h2 }
spec:
  selector: { app: gateway }
  servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ['*'] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: h2 }
spec:
  hosts: ['*']
  gateways: [h2]
  http:
    - match: [{ uri: { prefix: /echo } }]
      route: [{ destination: { host: echo.example, port: { number: 80 } } }]
    - directResponse: { status: 200, body: { string: answered by the gateway } }
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: echo }
spec:
  hosts: [echo.example]
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP }]
  endpoints: [{ address: 127.0.0.1, ports: { http: ECHO_PORT } }]
";

/// A server that runs until it is dropped.
#[derive(Debug)]
pub(super) struct Server {
    gateway: Gateway,
    _runtime: Runtime,
}

impl Server {
    /// Starts the server. The error is why there is none.
    pub(super) fn start() -> Result<Self, String> {
        let runtime = scene::runtime()?;
        let name = ServiceName {
            namespace: "default".into(),
            name: "echo".into(),
        };
        let echo = runtime.block_on(echo::start(name, Log::default()));
        let echo = echo.map_err(|error| error.to_string())?;

        let mut loaded = Loaded::default();
        let config = CONFIG.replace("ECHO_PORT", &echo.port().to_string());
        loaded.add("h2spec.yaml", config);
        let config = loaded.build(MeshConfig::builder(), 1);
        let (config, _) = config.map_err(|diagnostics| diagnostics.to_string())?;
        let workload = Workload::gateway("default").with_label("app", "gateway");

        let mut settings = Settings {
            bind: [127, 0, 0, 1].into(),
            ..Settings::default()
        };
        settings.ports.insert(PORT, 0);
        let mut gateway = Gateway::start(settings).map_err(|error| error.to_string())?;
        let published = gateway.publish(&resolve(&config, &workload));
        published.map_err(|error| error.to_string())?;
        Ok(Self {
            gateway,
            _runtime: runtime,
        })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.gateway.address(PORT)
    }
}
