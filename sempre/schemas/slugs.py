"""Random two-word names for runs that were not given one."""

# ruff: noqa: SIM905 -- two pages of quotes would hide the words

import secrets

__all__ = ["random_slug"]

_MANNERS = (
    "agile amber ardent balmy bold brisk bright calm candid chirpy clever cobalt copper crisp dapper daring dewy "
    "eager early earnest fabled fair fleet fond gallant gentle gilded glad golden hardy hazel hearty honest humble "
    "indigo ivory jade jaunty jolly keen kind lively loyal lucid lunar mellow merry mighty mild mirthful misty "
    "modest nimble noble olive opal patient placid plucky polite proud quick quiet radiant ready rosy russet "
    "sable serene sharp silken silver sleek snug solar sonic spry stately steady stout sunny swift tame tender "
    "tidy tranquil trusty upbeat valiant velvet vivid warm wise witty zesty"
).split()
_PLAYERS = (
    "adder albatross alpaca antelope badger barbet beaver bison bittern bobcat caracal cello chamois cicada condor "
    "cornet cougar crane cricket curlew cymbal dolphin dormouse dove drum egret eland falcon ferret finch fiddle "
    "flute fox gannet gazelle gecko goshawk grebe guitar harp hare heron hornbill horn ibex ibis jackdaw jaguar "
    "kestrel kingfisher koala lapwing lark lemur linnet lute lynx lyre magpie mandolin marimba marten merlin mole "
    "narwhal newt oboe ocelot octopus organ oriole osprey otter owl panther petrel piano piccolo pika plover puffin "
    "quail raven robin salmon seal shrike snipe sparrow stork swallow swan tapir tern thrush timpani toucan trumpet "
    "tuba turtle viola violin vole walrus warbler weasel whale wombat wren yak zither"
).split()


def random_slug() -> str:
    """Two words joined by a dash, such as ``mellow-oboe``; not unique."""
    return f"{secrets.choice(_MANNERS)}-{secrets.choice(_PLAYERS)}"
