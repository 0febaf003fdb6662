"""Anthropic's Agent SDK, as its users write it."""

import asyncio
import sys

import claude_agent_sdk


async def main() -> None:
    """Ask, and print the session."""
    options = claude_agent_sdk.ClaudeAgentOptions(allowed_tools=["Bash"])
    async for message in claude_agent_sdk.query(prompt=sys.argv[1], options=options):
        if isinstance(message, claude_agent_sdk.ResultMessage):
            print(message.session_id)


if __name__ == "__main__":
    asyncio.run(main())
