//! Listeners: addresses that can be bound, each once, and no HTTP/2 mode that contradicts TLS.

use super::super::listen::{collide, socket_address};
use super::super::model::Config;
use super::super::problem::{Finding, Place};
use super::{address_place, listeners_with_places};
use std::net::SocketAddr;

const REMEDY: &str = "write an IP address or `localhost`, and a port: `127.0.0.1:8080`, `0.0.0.0:8080`, `[::]:8080`";

pub(super) fn check(config: &Config, out: &mut Vec<Finding>) {
    let mut taken: Vec<(SocketAddr, Place)> = Vec::new();
    let listeners = listeners_with_places(config);
    if listeners.is_empty() {
        out.push(Finding::new(
            Place::root().key("listen"),
            "the list is empty",
            "add `127.0.0.1:8080`",
        ));
    }
    for (index, (place, listener)) in listeners.iter().enumerate() {
        let at = address_place(config, place, index);
        bind(&listener.address, at, &mut taken, out);
        if listener.h2c && listener.tls.is_some() {
            let message = "HTTP/2 without TLS on a listener that has TLS";
            out.push(Finding::new(
                place.key("h2c"),
                message,
                "remove `h2c`: with TLS, HTTP/2 is offered by ALPN",
            ));
        }
    }
    bind(
        &config.admin.listen,
        Place::root().key("admin").key("listen"),
        &mut taken,
        out,
    );
}

fn bind(address: &str, at: Place, taken: &mut Vec<(SocketAddr, Place)>, out: &mut Vec<Finding>) {
    match socket_address(address) {
        Err(message) => out.push(Finding::new(at, message, REMEDY)),
        Ok(socket) => {
            if let Some((_, first)) = taken.iter().find(|(other, _)| collide(socket, *other)) {
                let message = format!("{socket} is already taken by {first}");
                out.push(Finding::new(at.clone(), message, "use another port"));
            }
            taken.push((socket, at));
        }
    }
}

pub(super) fn warn(config: &Config, out: &mut Vec<Finding>) {
    let public = |address: &str| socket_address(address).is_ok_and(|socket| !socket.ip().is_loopback());
    for (index, (place, listener)) in listeners_with_places(config).iter().enumerate() {
        if config.insecure.open_access && public(&listener.address) {
            let at = address_place(config, place, index);
            let message = "anyone who reaches this address may spend on your provider keys (insecure.open_access)";
            out.push(Finding::new(
                at,
                message,
                "listen on 127.0.0.1, or put something that authenticates before it",
            ));
        }
    }
    if public(&config.admin.listen) {
        let at = Place::root().key("admin").key("listen");
        out.push(Finding::new(
            at,
            "the admin listener is reachable from other machines",
            "listen on 127.0.0.1",
        ));
    }
}
