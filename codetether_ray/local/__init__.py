"""The one-process world: every port on asyncio."""
