"""dlt, of which only the REST client is used; it is an extra, and its telemetry stays off."""

from __future__ import annotations

import os
from types import SimpleNamespace

from funnel_lib.errors import ConfigError


def library() -> SimpleNamespace:
    """Return what is used of dlt.

    Raises
    ------
    ConfigError : it is not installed.
    """
    os.environ.setdefault("RUNTIME__DLTHUB_TELEMETRY", "false")
    try:
        from dlt.common.configuration.specs.runtime_configuration import RuntimeConfiguration
        from dlt.sources.helpers.requests import HTTPError, RequestException
        from dlt.sources.helpers.requests.retry import Client as Sessions
        from dlt.sources.helpers.rest_client import paginators
        from dlt.sources.helpers.rest_client.client import RESTClient
        from dlt.sources.helpers.rest_client.exceptions import IgnoreResponseException
    except ImportError as error:
        raise ConfigError(
            "Fetching needs the package dlt.", found="it is not installed", allowed="the extra collect",
            do="Install it: pip install 'funnel-lib[collect]'",
        ) from error  # fmt: skip
    return SimpleNamespace(
        Client=Sessions, RESTClient=RESTClient, RuntimeConfiguration=RuntimeConfiguration, HTTPError=HTTPError,
        RequestException=RequestException, IgnoreResponseException=IgnoreResponseException, paginators=paginators,
    )  # fmt: skip
