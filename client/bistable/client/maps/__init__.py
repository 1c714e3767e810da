"""Update control maps: where the fleet, or an application, has an update wait, go on or fail. Pure, without any I/O."""

from bistable.client.maps.entry import LOCAL_MAPS, Entry, Key
from bistable.client.maps.evaluate import Decision, Question, Voice
from bistable.client.maps.keep import KEEP_KEY, Moment, decode_pool, encode_pool
from bistable.client.maps.model import Action, ControlMap, MapError, Rule, Source, encode_map
from bistable.client.maps.offline import OfflinePolicy, WhenOffline
from bistable.client.maps.parse import MAP_SIZE, parse_map, read_map
from bistable.client.maps.pool import Pool

__all__ = [
    "KEEP_KEY",
    "LOCAL_MAPS",
    "MAP_SIZE",
    "Action",
    "ControlMap",
    "Decision",
    "Entry",
    "Key",
    "MapError",
    "Moment",
    "OfflinePolicy",
    "Pool",
    "Question",
    "Rule",
    "Source",
    "Voice",
    "WhenOffline",
    "decode_pool",
    "encode_map",
    "encode_pool",
    "parse_map",
    "read_map",
]
