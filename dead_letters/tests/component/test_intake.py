"""What arrives in the dead-letter queues is taken in as it came, once, and never lost."""

from dead_letter_examples import REQUESTS, an_event


async def test_taken_in_with_everything_that_is_known(client, sender, taken_in, broker) -> None:
    event = an_event(correlation_id="flow-1")
    dead_letter_id = await sender.fail(event, attempts=5, is_parked=True)
    found = await taken_in(dead_letter_id)
    assert (found["state"], found["form"], found["service"]) == ("open", "event", "package-service")
    assert (found["subscription"], found["reason"]) == (REQUESTS.name, "handler_failed")
    assert (found["message_id"], found["session_id"]) == (str(event.id), event.session_id)
    assert (found["correlation_id"], found["message_type"]) == ("flow-1", event.type)
    assert (found["exception_type"], found["description"]) == ("DroneStuck", "the drone is stuck")
    assert (found["attempts"], found["failures"], found["is_parked"]) == (5, 1, True)
    assert found["body"] == bytes(event.data).decode()
    assert "DroneStuck: the drone is stuck" in found["failure_list"][0]["stack"]
    assert await broker.depth(REQUESTS.dead_letter_queue) == 0
