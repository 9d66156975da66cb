"""What every AWS region has before anyone creates something: Canonical's images and their public parameters."""

from __future__ import annotations

import datetime
import functools
import os
from pathlib import Path
from typing import Any

_PREFIX = "/aws/service/canonical/ubuntu/server/24.04/stable/current"
PUBLIC_PARAMETERS = {
    f"{_PREFIX}/amd64/hvm/ebs-gp3/ami-id": "ami-0da71700000024040",
    f"{_PREFIX}/arm64/hvm/ebs-gp3/ami-id": "ami-0da71700000024041",
}
_PUBLISHED = datetime.datetime(2026, 9, 1, 6, tzinfo=datetime.UTC)
"""When the images of amis.json were published."""


def configure_environment() -> None:
    """Set what moto reads when it is imported: our images, and AWS's own strictness about names."""
    os.environ.setdefault("MOTO_AMIS_PATH", str(Path(__file__).with_name("amis.json")))
    for strictness in (
        "MOTO_ENABLE_AMI_VALIDATION",
        "MOTO_ENABLE_KEYPAIR_VALIDATION",
        "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION",
        "MOTO_IAM_LOAD_MANAGED_POLICIES",
    ):
        os.environ.setdefault(strictness, "true")


def publish_parameters() -> None:
    """Let every region's parameter store know Canonical's public parameters."""
    from moto.ssm.models import Parameter, ParameterDict

    original = ParameterDict._check_loading_status

    @functools.wraps(original)
    def check(self: Any, key: str) -> None:
        original(self, key)
        if key in PUBLIC_PARAMETERS and not dict.__contains__(self, key):
            parameter = Parameter(  # type: ignore[abstract]
                account_id=self.account_id,
                name=key,
                value=PUBLIC_PARAMETERS[key],
                parameter_type="String",
                description="",
                allowed_pattern=None,
                keyid=None,
                last_modified_date=_PUBLISHED,
                version=1,
                data_type="aws:ec2:image",
            )
            dict.__setitem__(self, key, [parameter])

    ParameterDict._check_loading_status = check  # type: ignore[method-assign]
