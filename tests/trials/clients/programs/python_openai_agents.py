"""OpenAI's Agents SDK, as its users write it: an agent with one tool."""

import subprocess
import sys

import agents


def shell(command: str) -> str:
    """Run a command."""
    return subprocess.run(command, shell=True, capture_output=True, text=True, check=False).stdout  # noqa: S602 - its task


agents.set_tracing_disabled(True)
agent = agents.Agent(name="worker", model="gpt-5.5", tools=[agents.function_tool(shell)])


async def main() -> None:
    """Ask, and read the stream to its end."""
    answer = agents.Runner.run_streamed(agent, sys.argv[1])
    async for _ in answer.stream_events():
        pass
    print(answer.final_output)


if __name__ == "__main__":
    import asyncio

    asyncio.run(main())
