#!/usr/bin/python
# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Bring the edge of a host, a Traefik container in the host network, to a wanted configuration."""

from __future__ import annotations

DOCUMENTATION = r"""
module: edge
short_description: Configure and run the edge of a host
version_added: 0.1.0
author: The Davit maintainers (@davit-ec2)
description:
  - Writes the edge's own configuration, starts the edge, or recreates it when its configuration changed.
  - Recreating cuts the traffic of all apps of the host for a moment, whose length is measured and returned.
  - Refuses, before anything is written, while another program holds one of the ports, or while a route file cannot be
    read, since one such file disables every app at the edge's next start.
  - When the edge does not come up with the new configuration, the former one is put back.
  - While the Compose project O(yields_to) has the ports, everything but the start is done; the deploy that takes the
    place of that project starts the edge.
  - What is read while the edge runs (O(dynamic), O(certificates)) is taken over without a restart. The module waits
    until the edge says so, and puts the former file back when it does not.
  - A certificate whose key, order or dates are wrong is refused before anything is written.
options:
  directory:
    description: Where the edge's files are.
    type: path
    default: /opt/davit/edge
  static:
    description: Traefik's static configuration. Its C(ping.entryPoint) has to be one that O(ping_url) reaches.
    type: dict
    required: true
  dynamic:
    description: What is the edge's own in Traefik's dynamic configuration.
    type: dict
    default: {}
  authority:
    description: Certificates, in PEM, of whoever signed that of the ACME server; in the file C(acme/authority.pem).
    type: str
    default: ""
  service:
    description: The edge's service in its Compose file.
    type: dict
    required: true
  ports:
    description: TCP ports that the edge has to have for itself.
    type: list
    elements: int
    required: true
  yields_to:
    description: Compose project that may have the ports until a deploy takes its place; none when empty.
    type: str
    default: ''
  ping_url:
    description: What answers when the edge is well.
    type: str
    default: http://127.0.0.1:8099/ping
  certificates:
    description: Certificate chains with their keys, in PEM. The first serves names that none of them is for.
    type: list
    elements: dict
    default: []
    suboptions:
      chain:
        description: The certificate and its intermediates.
        type: str
        required: true
      key:
        description: The private key.
        type: str
        required: true
  timeout:
    description: Seconds that the edge may take until it answers.
    type: int
    default: 30
attributes:
  check_mode:
    description: Tells what would happen without doing it, also on a host without Docker.
    support: full
  diff_mode:
    description: Shows the configuration before and after, without keys.
    support: full
  platform:
    description: Where the module runs.
    support: full
    platforms: posix
"""

EXAMPLES = r"""
- name: Serve HTTP
  davit.ec2.edge:
    ports: [80, 8099]
    static:
      entryPoints:
        web:
          address: ":80"
        ping:
          address: 127.0.0.1:8099
      ping:
        entryPoint: ping
      providers:
        file:
          directory: /etc/traefik/dynamic
    service:
      image: traefik:v3.7.15
      network_mode: host
      restart: unless-stopped
      volumes:
        - ./traefik.yml:/etc/traefik/traefik.yml:ro
        - ./dynamic:/etc/traefik/dynamic:ro
"""

RETURN = r"""
action:
  description: What was done to the container, or would be.
  type: str
  returned: success
  sample: recreate
reason:
  description: Why.
  type: str
  returned: success
  sample: its own configuration or image changed
gap_seconds:
  description: The longest time in which the first of the ports did not accept a connection.
  type: float
  returned: when a running edge was recreated
  sample: 0.84
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.davit.ec2.plugins.module_utils import certificates as given_certificates
from ansible_collections.davit.ec2.plugins.module_utils.edge import PING
from ansible_collections.davit.ec2.plugins.module_utils.edge_host import EDGE_PATH, EdgeHost
from ansible_collections.davit.ec2.plugins.module_utils.edge_plan import (
    Certificate,
    compose_document,
    decide,
    edge_document,
    render,
    wanted_config,
)
from ansible_collections.davit.ec2.plugins.module_utils.errors import DavitError
from ansible_collections.davit.ec2.plugins.module_utils.layout import DEFAULT_ROOT

ARGUMENTS = {
    "directory": {"type": "path", "default": f"{DEFAULT_ROOT}/edge"},
    "static": {"type": "dict", "required": True},
    "dynamic": {"type": "dict", "default": {}},
    "authority": {"type": "str", "default": ""},
    "service": {"type": "dict", "required": True},
    "ports": {"type": "list", "elements": "int", "required": True},
    "yields_to": {"type": "str", "default": ""},
    "ping_url": {"type": "str", "default": PING},
    # The whole list, since Ansible writes a key of several lines into the host's journal when the key alone is no_log.
    "certificates": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "no_log": True,
        "options": {
            "chain": {"type": "str", "required": True},
            "key": {"type": "str", "required": True, "no_log": True},
        },
    },
    "timeout": {"type": "int", "default": 30},
}


def run(module: AnsibleModule) -> dict[str, Any]:
    """Compare, refuse, write and apply; what Ansible reports."""
    params = module.params
    host = EdgeHost(module.run_command, params["directory"], params["ping_url"])
    certificates = [Certificate(each["chain"], each["key"]) for each in params["certificates"]]
    compose = compose_document(params["service"], params["static"], params["authority"])
    dynamic, mark = edge_document(params["dynamic"], certificates, params["static"]["ping"]["entryPoint"])
    files = {EDGE_PATH: render(dynamic), "traefik.yml": render(params["static"]), "compose.yaml": render(compose)}
    if params["authority"]:
        files["acme/authority.pem"] = params["authority"]

    given_certificates.check(module.run_command, certificates, time.time())
    before, image = {name: host.read(name) for name in files}, str(params["service"]["image"])
    action, reason = decide(
        host.container(),
        wanted_config(compose),
        host.answers(),
        differs=before != files or host.mark() != mark,
        waits_for=params["yields_to"] if host.yields(params["ports"], params["yields_to"]) else "",
    )
    result: dict[str, Any] = {
        "changed": before != files or not host.has_image(image) if action == "wait" else action != "none",
        "action": action,
        "reason": reason,
        "diff": [
            {"before": before[name] or "", "after": files[name], "before_header": name, "after_header": name}
            for name in sorted(files)
        ],
    }
    if action != "none":
        host.refuse_broken_routes()
    if action not in ("none", "reload"):
        host.refuse_foreign_ports(params["ports"], params["yields_to"])
    if module.check_mode or not result["changed"]:
        return result
    host.require_docker()
    host.make_directories()
    host.write_certificates(certificates)
    if action == "wait":
        host.have_image(image)
        host.write(files)
    elif action == "reload":
        host.reload(files, mark, params["timeout"])
    else:
        made_of = (wanted_config(compose), mark)
        gap = host.apply(files, image, made_of, params["ports"][0], params["timeout"])
        if action == "recreate":
            result["gap_seconds"] = gap
    return result


def main() -> None:
    """Module entry point."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = run(module)
    except (OSError, DavitError) as error:
        module.fail_json(msg=str(error), **getattr(error, "facts", {}))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
