use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::services::Bookstore;
use crate::strangers;

/// Where the bookstore can be asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entrances {
    /// The gateway.
    pub(crate) gateway: SocketAddr,
    /// Where the gateway is asked about itself.
    pub(crate) admin: SocketAddr,
}

/// What a guest may try.
pub(crate) fn invitation(entrances: Entrances, ratings: SocketAddr, token: &str) -> String {
    let Entrances { gateway, admin } = entrances;
    let url = format!("http://{gateway}");
    format!(
        "The bookstore is open at {url}. Try:

  curl {url}/productpage                        # reviews v1 three times of four, else v3. Details fail once:
                                                # one of their two replicas is broken, and ejected for that
  curl -H 'end-user: jason' {url}/productpage   # always reviews v2, with stars
  curl -H 'end-user: tester' {url}/productpage  # ratings are aborted with 500
  curl -H 'end-user: snail' {url}/productpage   # ratings take two seconds
  curl -i -H 'end-user: snail' -H 'x-hurry: yes' {url}/productpage   # too long: 504
  curl -i {url}/                                # redirected
  curl -i {url}/books/7                         # redirected, its prefix rewritten
  curl {url}/status                             # answered by the gateway, three times a minute
  curl -i {url}/admin                           # denied, 403
  curl -i {url}/orders                          # denied, for want of a token
  curl -H 'authorization: Bearer {token}' {url}/orders
  curl {url}/api/v1/products                    # rewritten, and mirrored to ratings
  curl {url}/stock                              # the shop in the west, which is near
  curl -H 'x-fire: west' {url}/stock            # retried in the east, where all of /stock go for 30 s
  curl -H 'x-reader: ann' {url}/stock/mine      # always the same shop
  for i in 1 2 3 4; do curl -i {url}/stock/queue & done; wait   # one is served, one may wait: 503
  curl http://{ratings}/                        # a service itself: refused without TLS,
  curl -k https://{ratings}/                    # and without a certificate of the mesh (a broken connection)
  curl -i -X OPTIONS -H 'origin: https://shop.example' \\
    -H 'access-control-request-method: GET' {url}/api/v1/products

What the gateway has counted:

  curl http://{admin}/stats/prometheus

Why a request goes where it goes, by the gateway, and by the files:

  curl 'http://{admin}/explain?host=bookstore.example&path=/productpage&header=end-user:jason'
  cargo run --example meshctl -- explain --request 'GET http://reviews:9080/reviews/0' \\
    -H 'end-user: jason' --workload bookstore/productpage examples/config
"
    )
}

/// Takes the tour. The error is the first station that is not as it should be.
pub(crate) fn take(entrances: Entrances, bookstore: &Bookstore, token: &str) -> Result<(), String> {
    let Entrances { gateway, admin } = entrances;
    let get = |path: &str, headers: &str| ask(gateway, "GET", path, headers);
    split(&get)?;
    ejection(bookstore)?;
    station(
        "jason sees stars, and ratings see who asks",
        &get("/productpage", "end-user: jason\r\n")?,
        &[
            "reviews v2",
            "5 stars, for spiffe://cluster.local/ns/bookstore/sa/bookstore-reviews",
        ],
    )?;
    let broken = get("/productpage", "end-user: tester\r\n")?;
    station(
        "an injected fault",
        &broken,
        &["HTTP/1.1 200", "ratings: unavailable (500)"],
    )?;
    station(
        "a timeout",
        &get("/productpage", "end-user: snail\r\nx-hurry: yes\r\n")?,
        &["HTTP/1.1 504", "upstream request timeout"],
    )?;
    station(
        "a redirect",
        &get("/", "")?,
        &["HTTP/1.1 302", "/productpage\r\n"],
    )?;
    station(
        "a rewritten redirect",
        &get("/books/7", "")?,
        &["HTTP/1.1 308", "/api/v1/products/7\r\n"],
    )?;
    station(
        "a direct response",
        &get("/status", "")?,
        &["the bookstore is open"],
    )?;
    let preflight = "origin: https://shop.example\r\naccess-control-request-method: GET\r\n";
    let allowed = ask(gateway, "OPTIONS", "/api/v1/products", preflight)?;
    station(
        "a preflight",
        &allowed,
        &[
            "HTTP/1.1 200",
            "access-control-allow-origin: https://shop.example",
        ],
    )?;
    station("no route", &get("/nothing", "")?, &["HTTP/1.1 404"])?;
    stock(gateway, &get)?;
    policies(&get, token)?;
    mirror(&get, bookstore)?;
    counts(admin)?;
    explained(admin)?;
    strangers::call_all(bookstore).map_err(|error| error.to_string())
}

/// Which replica is asked, and how many at once.
fn stock(
    gateway: SocketAddr,
    get: &impl Fn(&str, &str) -> Result<String, String>,
) -> Result<(), String> {
    let (near, far) = (["stock west"], ["stock east"]);
    station("the nearest shop", &get("/stock", "")?, &near)?;
    station(
        "a retry elsewhere",
        &get("/stock", "x-fire: west\r\n")?,
        &far,
    )?;
    station("a failover", &get("/stock", "")?, &far)?;
    let mine = || get("/stock/mine", "x-reader: ann\r\n");
    let shop = mine()?;
    let shop = shop.lines().last().unwrap_or_default();
    for _ in 0..5 {
        station("the same shop", &mine()?, &[shop])?;
    }
    let asking = [(); 4].map(|()| thread::spawn(move || ask(gateway, "GET", "/stock/queue", "")));
    let answers: Vec<String> = asking
        .into_iter()
        .map(|one| one.join().map_err(|_| "a customer fainted".to_owned())?)
        .collect::<Result<_, _>>()?;
    let count = |part: &str| answers.iter().filter(|one| one.contains(part)).count();
    let (served, refused) = (count("HTTP/1.1 200"), count("x-envoy-overloaded: true"));
    println!("a queue: {served} of 4 at once were served, {refused} refused");
    match (served, refused) {
        (1.., 1..) if served + refused == 4 => Ok(()),
        _ => Err("the queue is not as long as it should be".to_owned()),
    }
}

/// Who may do what, and how often.
fn policies(
    get: &impl Fn(&str, &str) -> Result<String, String>,
    token: &str,
) -> Result<(), String> {
    let denied = ["HTTP/1.1 403", "RBAC: access denied"];
    station("a denied path", &get("/x/../admin/users", "")?, &denied)?;
    station("an order of nobody", &get("/orders", "")?, &denied)?;
    let bearer = format!("authorization: Bearer {token}\r\n");
    station(
        "an order of jason",
        &get("/orders", &bearer)?,
        &["HTTP/1.1 200", "thank you for your order"],
    )?;
    station(
        "a token that nobody signed",
        &get("/orders", &format!("authorization: Bearer {token}x\r\n"))?,
        &["HTTP/1.1 401", "www-authenticate: Bearer"],
    )?;
    // The tour has asked once already.
    for _ in 0..2 {
        get("/status", "")?;
    }
    station(
        "a rate limit",
        &get("/status", "")?,
        &["HTTP/1.1 429", "local_rate_limited"],
    )
}

/// A replica that fails is left alone, by each of those who balance: productpage and the gateway.
fn ejection(bookstore: &Bookstore) -> Result<(), String> {
    let asked = bookstore.broken_asked();
    println!("a replica that fails: asked {asked} times of 200");
    match (1..=2).contains(&asked) {
        true => Ok(()),
        false => Err("the replica that fails was not ejected".to_owned()),
    }
}

fn split(get: &impl Fn(&str, &str) -> Result<String, String>) -> Result<(), String> {
    let (mut first, mut third) = (0, 0);
    for _ in 0..200 {
        let page = get("/productpage", "")?;
        first += usize::from(page.contains("reviews v1"));
        third += usize::from(page.contains("reviews v3"));
    }
    println!("a weighted split: {first} of 200 saw v1, {third} saw v3");
    // 50 are expected; outside these bounds lies less than one draw in ten million.
    match first + third == 200 && (17..=84).contains(&third) {
        true => Ok(()),
        false => Err("the split is not 75 to 25".to_owned()),
    }
}

/// What the gateway has counted, the late answer among it.
fn counts(admin: SocketAddr) -> Result<(), String> {
    let scraped = || ask(admin, "GET", "/stats/prometheus", "");
    let late = |text: &str| {
        let mut lines = text.lines();
        lines.any(|line| {
            line.starts_with("istio_requests_total{") && line.contains("response_code=\"504\"")
        })
    };
    eventually("the count of the late answer", || Ok(late(&scraped()?)))?;
    println!("the metrics: as they should be");
    Ok(())
}

/// Why a request goes where it goes.
fn explained(admin: SocketAddr) -> Result<(), String> {
    let answer = ask(
        admin,
        "GET",
        "/explain?host=bookstore.example&path=/books/7",
        "",
    )?;
    station("an explanation", &answer, &["HTTP/1.1 200", "gateway.yaml"])
}

fn mirror(
    get: &impl Fn(&str, &str) -> Result<String, String>,
    bookstore: &Bookstore,
) -> Result<(), String> {
    let before = bookstore.ratings_asked();
    station(
        "a rewritten path",
        &get("/api/v1/products", "")?,
        &["details: 200 pages"],
    )?;
    let arrived = || Ok(bookstore.ratings_asked() > before);
    eventually("the copy of a request at ratings", arrived)?;
    println!("a mirror: the copy reached ratings");
    Ok(())
}

/// Waits some seconds for what nobody tells of.
fn eventually(what: &str, is_there: impl Fn() -> Result<bool, String>) -> Result<(), String> {
    #[expect(clippy::disallowed_methods, reason = "it is there when it is there")]
    let now = Instant::now;
    let started = now();
    while !is_there()? {
        if now() - started > Duration::from_secs(5) {
            return Err(format!("{what} is missing"));
        }
        thread::yield_now();
    }
    Ok(())
}

fn station(name: &str, answer: &str, expected: &[&str]) -> Result<(), String> {
    for part in expected {
        if !answer.contains(part) {
            return Err(format!("{name}: expected `{part}` in\n{answer}"));
        }
    }
    println!("{name}: as it should be");
    Ok(())
}

fn ask(gateway: SocketAddr, method: &str, path: &str, headers: &str) -> Result<String, String> {
    let exchange = || {
        let mut client = TcpStream::connect(gateway)?;
        client.set_read_timeout(Some(Duration::from_secs(10)))?;
        let head = format!("{method} {path} HTTP/1.1\r\nhost: bookstore.example\r\n");
        client.write_all(format!("{head}{headers}connection: close\r\n\r\n").as_bytes())?;
        let mut answer = String::new();
        client.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    exchange().map_err(|error| format!("{method} {path}: {error}"))
}
