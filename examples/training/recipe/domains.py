"""The record types: which facts a text of each type tells, and what users call them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One fact of a record type: the kind that makes it and field names, the usual one first."""

    kind: str
    names: tuple[str, ...]


def _parts(text: str) -> dict[str, Part]:
    """Reads lines of `slot kind name name …`."""
    rows = [line.split() for line in text.strip().splitlines()]
    return {row[0]: Part(row[1], tuple(row[2:])) for row in rows}


_PERSON = """
name name name full_name person person_name
age age age age years age_in_years
city city city home_city town location residence lives_in hometown place
job job job occupation profession role work job_title position
hobbies hobbies hobbies interests likes activities free_time pastimes
street street street street_address
"""
_CONTACT = """
name name name contact contact_name full_name person
email email email email_address mail
phone phone phone phone_number telephone mobile tel
company company company employer organization firm organisation
job job job role position job_title
street street street
city city city town
"""
_ORDER = """
id whole_id id order_id order_number number invoice_id reference
customer name customer customer customer_name buyer client name
items items items items products articles goods
paid paid paid is_paid settled
status order_status status order_status state
date date date order_date due_date delivery_date
city city city ship_to destination
"""
_MEETING = """
topic topic topic topic subject title about agenda
day day day weekday
date date date meeting_date
time time time start_time start at
people people people participants attendees guests names invited
room room location room place where venue
duration minutes duration minutes duration_minutes length
"""
_PRODUCT = """
name product name name product title item product_name article
price price price price cost amount
color color color color colour
colors colors colors colours available_colors
brand brand brand manufacturer maker
in_stock in_stock in_stock available is_available
weight decimal weight weight_kg
rating rating rating stars score
size size size
id whole_id id sku article_number item_number
city city city location
"""
_EVENT = """
title event title title event name event_name
date date date event_date when
day day day weekday
time time time start_time start
location venue location venue place where
city city city town
price price price ticket_price entry_fee cost
guests count guests visitors attendance capacity
speaker name speaker artist host performer
"""
_BOOK = """
title title title title book name
author name author author writer creator
year year year published publication_year
pages count pages page_count length
price price price cost
rating rating rating stars
"""
_FILM = """
title title title title film movie name
director name director directed_by
year year year release_year
duration minutes duration length runtime minutes
actors people actors cast stars
genre genre genre kind
rating rating rating stars score
"""
_PET = """
name first name name pet pet_name
breed breed breed species kind
age years age age years
owner name owner owner owner_name belongs_to
color color color colour
weight decimal weight weight_kg
"""
_BOOKING = """
guest name guest guest name customer booked_by guest_name
check_in date check_in check_in arrival start_date from_date
check_out date check_out check_out departure end_date until
nights several nights number_of_nights
hotel venue hotel place location
city city city
persons small persons guests people number_of_guests party_size
room count room room_number
breakfast included breakfast extras_included
price price price total
"""
_JOBAD = """
job job job title position role profession
company company company employer firm
city city city location
salary salary salary pay monthly_salary wage
start date start start_date
skills skills skills requirements
hours count hours hours_per_week
remote remote remote home_office
"""
_TICKET = """
id whole_id id ticket ticket_id number
reporter name reporter reported_by author user
priority level priority urgency severity
status state status state
assignee name assignee assigned_to owner
date date date opened created
component thing component part
"""
_TRIP = """
number code flight flight_number number train
origin city origin origin from_city departure_city start
destination city destination destination to_city arrival_city
departure time departure departure_time leaves
arrival time arrival arrival_time
date date date travel_date
day day day
passenger name passenger traveller name
price price price fare
duration small duration travel_time
gate code gate platform
seat code seat
"""
_WEATHER = """
city city city place location
temperature temperature temperature degrees temp
weather sky weather condition sky
day day day
date date date
wind count wind wind_speed
humidity small humidity
"""
_CAR = """
owner name owner driver seller name
brand brand brand make car model_name
model code model
color color color colour
year year year built
mileage distance mileage kilometers km
price price price
plate code plate license_plate
"""
_PLACE = """
recipient name recipient name to receiver
street street street address street_address
city city city town
weight decimal weight weight_kg
sender name sender from_person
zip whole_id zip postcode
rooms several rooms number_of_rooms
price price rent price
phone phone phone
"""
_COURSE = """
subject topic subject course topic title
teacher name teacher instructor trainer
day day day weekday
date date date start_date
time time time start
room room room location
price price price fee
students count students participants places
weeks several weeks duration
"""
_REVIEW = """
place venue place restaurant name hotel
city city city
rating rating rating stars score
reviewer name reviewer author
sentiment mood sentiment opinion mood
dishes foods dishes menu food
price price price
"""
_TEAM = """
members folk members people players team
team brand team team_name group name
leader name leader captain head
cities cities cities places stops destinations
scores scores scores numbers points results
things things things items list objects
date date date
"""
_RECIPE = """
dish food dish recipe name title
ingredients foods ingredients needs
minutes minutes minutes time duration
servings small servings serves persons
cook name cook author chef
temperature count temperature
"""

DOMAINS: dict[str, dict[str, Part]] = {
    "person": _parts(_PERSON),
    "contact": _parts(_CONTACT),
    "order": _parts(_ORDER),
    "meeting": _parts(_MEETING),
    "product": _parts(_PRODUCT),
    "event": _parts(_EVENT),
    "book": _parts(_BOOK),
    "film": _parts(_FILM),
    "pet": _parts(_PET),
    "booking": _parts(_BOOKING),
    "jobad": _parts(_JOBAD),
    "ticket": _parts(_TICKET),
    "trip": _parts(_TRIP),
    "weather": _parts(_WEATHER),
    "car": _parts(_CAR),
    "place": _parts(_PLACE),
    "course": _parts(_COURSE),
    "review": _parts(_REVIEW),
    "team": _parts(_TEAM),
    "recipe": _parts(_RECIPE),
}
# An untold slot is not asked for where the text tells something that may pass for it.
UNCLEAR: dict[str, set[str]] = {
    "color": {"colors"},
    "colors": {"color"},
    "date": {"day"},
    "day": {"date"},
    "location": {"city"},
    "hotel": {"city"},
    "component": {"id", "reporter", "assignee"},
}
WEIGHTS: dict[str, float] = {"person": 7, "contact": 2, "order": 2.5, "meeting": 2.5}
WEIGHTS |= {"product": 2.5, "event": 2}
