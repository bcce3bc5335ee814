"""Friendly names for runs: ``amber-otter``."""

from random import Random

__all__ = ["ADJECTIVES", "ANIMALS", "random_name"]

_ADJECTIVES = """
    able agile airy amber ample apt ardent astute azure balmy beaming blithe bold bonny brave breezy bright brisk
    bubbly calm candid careful caring cheerful cheery chipper civil clear clever comely comfy cordial cosmic cosy
    crafty crimson crisp curious dainty dandy dapper daring dashing dear decent deft dewy diligent dreamy droll
    eager earnest earthy easy ebony elated elegant elfin emerald epic equable fabled fair famous fancy festive fine
    fleet fluent fluffy fond frank free fresh friendly frosty gallant genial gentle gifted glad gleaming glossy
    golden graceful grand grateful hale handy happy hardy hazel hearty helpful honest hopeful humble indigo ivory
    jade jaunty jolly jovial joyful keen kind kindly lively lofty loyal lucid lucky lunar mellow merry mighty mild
    mindful mirthful modest musical neat nimble noble olive patient peachy perky placid playful plucky polite proud
    quick quiet quirky radiant rapid ready regal robust rosy ruby rustic sage sandy serene sharp shiny silky silver
    sleek smart snug solar spry stable steady stellar sturdy sunny swift tender tidy tranquil trusty upbeat valiant
    vivid warm watchful whimsical willing wise witty zealous zesty
"""
_ANIMALS = """
    aardvark albatross alpaca anchovy anteater antelope armadillo avocet badger bandicoot barbet bat bear beaver bee
    beetle bison bittern bluebird bobcat bongo bonobo buffalo bullfinch bumblebee bunting butterfly buzzard camel
    capybara caracal cardinal caribou cassowary cat catfish chameleon chamois cheetah chickadee chinchilla chipmunk
    cicada clam coati cockatoo cod condor coot cormorant corgi cougar coyote crab crane crayfish cricket crow cuckoo
    curlew cuttlefish dingo dolphin donkey dormouse dove dragonfly duck dugong dunlin eagle echidna eel egret eider
    elephant elk emu ermine falcon ferret finch firefly flamingo fox frog gannet gazelle gecko gerbil gibbon giraffe
    gnu goat goldfinch goose gopher grebe grouse guanaco gull guppy haddock hamster hare hawk hedgehog heron herring
    hippo hoopoe hornbill horse hummingbird ibex ibis iguana impala jackal jackdaw jaguar jay jellyfish kangaroo
    kestrel kingfisher kite kiwi koala kookaburra kudu ladybird lapwing lark lemming lemur leopard limpet linnet lion
    lizard llama lobster loon loris lynx macaque macaw mackerel magpie mallard manatee manta marlin marmot marten
    meerkat mink mole mongoose moose moth mouse mule newt nightingale numbat nuthatch ocelot octopus okapi opossum
    oriole oryx osprey ostrich otter owl ox oyster panda pangolin parrot partridge peacock pelican penguin perch
    petrel pheasant pigeon pika pike pipit plaice platypus plover pony porcupine porpoise puffin puma quail quokka
    rabbit raccoon raven redstart reindeer robin rook salmon sandpiper sardine seahorse seal serval shearwater sheep
    shrew shrimp siskin skylark sloth sparrow squid squirrel starfish starling stoat stork sturgeon swallow swan swift
    tapir tarsier teal tern thrush tiger toad tortoise toucan trout tuna turtle viper vole wagtail wallaby walrus
    warbler weasel whale whippet wigeon wildcat wolf wombat woodpecker wren yak zebra
"""


ADJECTIVES = tuple(_ADJECTIVES.split())
ANIMALS = tuple(_ANIMALS.split())


def random_name(random: Random) -> str:
    """An adjective and an animal, drawn evenly, such as ``amber-otter``."""
    return f"{random.choice(ADJECTIVES)}-{random.choice(ANIMALS)}"
