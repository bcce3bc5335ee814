"""Job variables against what a pool lets its runs vary."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sempre.core import parameters
from sempre.server.blocks.documents import read_data
from sempre.server.errors import NotFound, Unprocessable
from sempre.server.scope import Scope
from sempre.server.work_pools.lookup import pool_not_found

__all__ = ["check_against_pool", "check_job_variables", "referenced_blocks"]


async def check_job_variables(
    scope: Scope, deployment_id: UUID, job_variables: Mapping[str, Any], *, required: bool, prefix: str
) -> None:
    """Check a run's job variables, laid over its deployment's and those over the defaults of the deployment's pool.

    A deployment without a pool has nothing to check. Raises Unprocessable with ``prefix: ...``, NotFound for a default
    that refers to a block that is gone.
    """
    row = await scope.db.fetchrow(
        """
        SELECT p.base_job_template, d.job_variables
        FROM deployment d JOIN work_queue q ON q.id = d.work_queue_id JOIN work_pool p ON p.id = q.work_pool_id
        WHERE d.id = $1 AND d.workspace_id = $2
        """,
        deployment_id,
        scope.workspace_id,
    )
    if row is not None:
        layers = (row["job_variables"], job_variables)
        await _check(scope, row["base_job_template"], *layers, required=required, prefix=prefix)


async def check_against_pool(
    scope: Scope, pool_name: str, job_variables: Mapping[str, Any], *, required: bool, prefix: str
) -> None:
    """Check job variables, laid over the defaults of a pool.

    Raises as above, and NotFound for an unknown pool.
    """
    row = await scope.db.fetchrow(
        "SELECT base_job_template FROM work_pool WHERE workspace_id = $1 AND name = $2", scope.workspace_id, pool_name
    )
    if row is None:
        raise pool_not_found(pool_name)
    await _check(scope, row["base_job_template"], job_variables, required=required, prefix=prefix)


async def _check(
    scope: Scope, template: Mapping[str, Any], *layers: Mapping[str, Any], required: bool, prefix: str
) -> None:
    blocks = await referenced_blocks(scope, template)
    try:
        parameters.check_job_variables(template, *layers, required=required, blocks=blocks)
    except ValueError as error:
        raise Unprocessable(f"{prefix}: {error}") from error


async def referenced_blocks(scope: Scope, template: Mapping[str, Any]) -> dict[str, Any]:
    """The data of the blocks that stand as defaults in a pool's template, by document id. Raises NotFound."""
    variables = template.get("variables")
    if not isinstance(variables, Mapping):
        return {}
    blocks: dict[str, Any] = {}
    for text in sorted(set(parameters.block_references(variables).values())):
        try:
            data = await read_data(scope, UUID(text))
        except ValueError:  # no id at all
            data = None
        if data is None:
            raise NotFound("Block not found.")
        blocks[text] = data
    return blocks
