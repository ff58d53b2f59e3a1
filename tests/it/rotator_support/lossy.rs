//! Ways to a server on which every changing statement, or the reply to it, is lost.

use pawl::servers::Server;

use crate::harness::chaos::{CHANGES, Link, Loss};

/// Such a way. Returns its port.
pub(super) fn lossy_way_to(server: &Server, loss: Loss) -> u16 {
    let link = Link::to(&server.host, server.port);
    link.lose_every(&CHANGES, loss);
    link.port
}
