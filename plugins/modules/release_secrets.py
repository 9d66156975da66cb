#!/usr/bin/python
# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""What the action of this name does; it runs on the controller alone."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release_secrets
short_description: Get the secrets of a release from where they are kept
version_added: 0.1.0
description:
  - Runs on the controller, and asks its environment, AWS Systems Manager Parameter Store and AWS Secrets Manager for
    the values of O(sources), in as few calls as they allow.
  - Fails with one message that names each secret which is missing, empty, denied or given twice, and holds no value.
  - What it returns is hidden from the output at any verbosity. Give it to M(davit.ec2.release_preflight).
options:
  app:
    description: Name of the app that they are for, for the report of the run.
    type: str
    default: ''
  plain:
    description: Secrets whose values Ansible has already, by name, such as those of a vault.
    type: dict
    default: {}
  sources:
    description:
      - Where the values of others come from, by name. C(from) is V(env), V(ssm) or V(secretsmanager); C(name) is what
        that one knows it by, which may be left out for V(env) when it is the same.
      - C(key) takes one value out of a JSON object. C(version) (a number of SSM, an id of Secrets Manager) or C(label)
        choose another version than the current one.
    type: dict
    default: {}
  environment:
    description: Variables that are no secrets; a secret may not have the name of one.
    type: dict
    default: {}
  aws:
    description:
      - Connection options C(region), C(profile), C(endpoint_url), C(access_key), C(secret_key) and C(session_token).
      - What is left out comes from the environment, as usual with AWS tools.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    description: Reads in check mode as well, since a check has to know whether the secrets can be had.
  diff_mode:
    support: none
    description: A secret is never shown.
  platform:
    platforms: posix
    support: full
    description: The controller.
requirements:
  - boto3 on the controller, for V(ssm) and V(secretsmanager)
author:
  - The Davit maintainers (@davit-ec2)
"""

EXAMPLES = r"""
- name: Get the secrets
  davit.ec2.release_secrets:
    plain:
      SMTP_PASSWORD: "{{ vault_smtp_password }}"
    sources:
      DB_PASSWORD: {from: ssm, name: /shop/db_password}
      API_KEY: {from: secretsmanager, name: shop/api, key: api_key}
      TOKEN: {from: env, name: SHOP_TOKEN}
  register: __secrets
"""

RETURN = r"""
secrets:
  description: The values by name.
  returned: success
  type: dict
  sample: {}
origins:
  description: Where each value came from, and its version if the store has any.
  returned: success
  type: dict
  sample:
    DB_PASSWORD: {from: ssm, name: /shop/db_password, version: "3"}
"""
