"""Deleting blocks, alone or with their type or schema, and what cannot be without them.

A deployment that names a block as its storage or infrastructure goes with the block, and so does a run that names it as
its infrastructure: neither could ever be executed.
"""

from uuid import UUID

from sempre.db.pool import Executor
from sempre.server.blocks import document_queries
from sempre.server.deployments.deletion import delete_in
from sempre.server.flow_runs.deletion import delete_runs
from sempre.server.scope import Scope

__all__ = ["delete_dependents"]


async def delete_dependents(scope: Scope, transaction: Executor, document_ids: list[UUID]) -> None:
    """Delete what names these documents, which are gone already. Ring the doorbell (``events``) after the commit."""
    if not document_ids:
        return
    deployments = await document_queries.deployments_naming(transaction, scope.workspace_id, document_ids)
    if deployments:
        await delete_in(transaction, scope.workspace_id, deployments)
    runs = await document_queries.runs_naming(transaction, scope.workspace_id, document_ids)
    if runs:
        await delete_runs(transaction, scope.workspace_id, runs)
