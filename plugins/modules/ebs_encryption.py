#!/usr/bin/python
# Copyright (c) 2026 The Davit maintainers
# MIT License (see LICENSE)
"""Whether AWS encrypts every new volume of an account in a region by itself."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ebs_encryption
short_description: Whether AWS encrypts every new volume of an account in a region by itself
version_added: 0.1.0
author: The Davit maintainers (@davit-ec2)
description:
  - Sets EBS encryption by default for the account in the region of the call. It holds for whoever makes volumes there,
    and for new volumes only.
  - Runs where AWS can be asked, as the modules of amazon.aws do, which have none for it.
options:
  enabled:
    description: Whether it shall be on.
    type: bool
    default: true
attributes:
  check_mode:
    description: Tells what would change.
    support: full
  diff_mode:
    description: Shows the setting before and after.
    support: full
  platform:
    description: Where the module runs.
    support: full
    platforms: posix
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Encrypt what anybody makes in this region
  davit.ec2.ebs_encryption:
    region: eu-central-1
"""

RETURN = r"""
enabled:
  description: Whether it is on now.
  returned: success
  type: bool
  sample: true
"""

import contextlib

from ansible_collections.amazon.aws.plugins.module_utils.botocore import is_boto3_error_code
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

# Without it AnsibleAWSModule says what to install.
with contextlib.suppress(ImportError):
    from botocore.exceptions import BotoCoreError, ClientError


def main() -> None:
    """Module entry point."""
    module = AnsibleAWSModule(argument_spec={"enabled": {"type": "bool", "default": True}}, supports_check_mode=True)
    wanted = module.params["enabled"]
    try:
        client = module.client("ec2")
        before = client.get_ebs_encryption_by_default()["EbsEncryptionByDefault"]
        if before != wanted and not module.check_mode:
            change = client.enable_ebs_encryption_by_default if wanted else client.disable_ebs_encryption_by_default
            change()
    except is_boto3_error_code("UnauthorizedOperation") as error:
        module.fail_json_aws(
            error,
            msg="These credentials may not set EBS encryption by default (ec2:EnableEbsEncryptionByDefault). Ask who"
            " runs the account, or leave ec2_instance_ebs_encryption_by_default off: the fleet's own volumes are"
            " encrypted anyway",
        )
    except (BotoCoreError, ClientError) as error:
        module.fail_json_aws(error, msg="EBS encryption by default could not be read or set")
    module.exit_json(
        changed=before != wanted,
        enabled=wanted,
        diff={"before": f"EBS encryption by default: {before}\n", "after": f"EBS encryption by default: {wanted}\n"},
    )


if __name__ == "__main__":
    main()
